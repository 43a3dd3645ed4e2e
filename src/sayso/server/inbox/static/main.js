// The inbox: binds the store, the stream, the queue and the open card.

import { $, h, icon, phone } from './dom.js'
import * as api from './api.js'
import { parse } from './json.js'
import { state, watch, changed, put, keepUnsent, restoreUnsent } from './store.js'
import * as stream from './stream.js'
import { drawQueue, reveal } from './queue.js'
import { createCard, contextView } from './card.js'
import { summary } from './headline.js'
import { counted, shown, STOPPED } from './review.js'
import { visible } from './visible.js'
import { result } from './marks.js'
import { startKeys } from './keys.js'
import { startClock, refreshTimes, span } from './time.js'
import { toast, announce } from './toast.js'
import { spelled } from './visible.js'

const stage = $('#stage')
const cards = new Map()      // the cards opened last, with what was typed in them
const lost = new Map()       // decisions of mine that came too late
const stale = new Map()      // what was typed for arguments that somebody has changed since
let card = null, armedAt = 0, listScroll = 0, mine = new Set(), missing = null, later = 0, revealed = false

const SAID = {
  approve: ['good', 'Approved. The agent goes on.'], edit: ['good', 'Approved with your changes. The agent goes on with them.'],
  respond: ['info', 'Answered. The agent reads it.'], reject: ['no', 'Rejected. The agent is told why.'],
  ignore: ['no', 'Ignored. The agent is told no.'], cancel: ['info', 'Cancelled.'],
}

const ctx = {
  lost, stale,
  back: () => show(null),
  next: () => phone() ? show(null) : step(1, true),
  load: name => import(`./${name}.js`),
  discard: id => keepUnsent(id, null),
  related,
  act,
}

async function act(request, body) {
  const after = following(request.id)
  let answer
  try {
    answer = body.type === 'cancel' ? await api.cancel(request.id, '') : await api.decide(request.id, body)
  } catch (error) {
    if (!(error instanceof api.Unreachable)) throw error
    keepUnsent(request.id, body)
    announce('Not sent. The server could not be reached. Your decision is kept.')
    stream.reconnect()
    return null
  }
  stream.contact()
  if (answer.ok) {
    keepUnsent(request.id, null)
    stale.delete(request.id)
    mine.add(request.id)
    put(answer.body)
    const d = answer.body.decision, n = answer.body.status === 'pending' && counted(answer.body)
    if (n && answer.body.votes.at(-1)?.approves) toast(`Counted: ${n[0]} of ${n[1]}. It takes ${n[1] - n[0]} more.`, 'info')
    else if (n) toast('Counted. It takes more people to reject it.', 'no')
    if (n) {
      if (state.openId === request.id) phone() ? show(null) : show(after && after !== request.id ? after : request.id, { advance: true })
      return null
    }
    const said = body.type === 'reject' && !body.reason ? ['no', 'Rejected. The agent is told no.'] : body.type === 'respond' && body.option != null && d ? [d.approved ? 'good' : 'no', d.approved ? 'Answered with a yes. The agent goes on.' : 'Answered with a no.'] : SAID[body.type]
    toast(said[1], said[0])
    if (state.openId === request.id) phone() ? show(null) : after ? show(after, { advance: true }) : show(request.id, { keep: true })
    return null
  }
  if (answer.status === 401) { keepUnsent(request.id, body); stream.setLink('signed-out'); return null }
  if (answer.status === 409 && answer.body?.code === 'changed_meanwhile') {
    keepUnsent(request.id, null)
    stale.set(request.id, body)
    put(answer.body.request)
    cards.delete(request.id)
    changed()
    toast('Not decided: the arguments were changed.', 'bad')
    return null
  }
  if (answer.status === 409 && answer.body?.request && answer.body.request.status !== 'pending') {
    keepUnsent(request.id, null)
    lost.set(request.id, body)
    put(answer.body.request)
    const drawn = cards.get(request.id)   // drawn as decided already when the event was faster than this answer
    if (drawn && drawn.card.request.status !== 'pending') { cards.delete(request.id); changed() }
    toast(answer.body.code === 'expired' ? 'Too late: it had expired.' : answer.body.code === 'cancelled' ? 'It was cancelled before.' : 'Somebody was faster.', 'bad')
    return null
  }
  return answer.body || { title: `The server answered ${answer.status}.` }
}

const answers = new Map()
function related(request) {
  const ask = async query => { const key = JSON.stringify([state.closed, query]); if (!answers.has(key)) { answers.set(key, api.list(query)); setTimeout(() => answers.delete(key), 2000) } const a = await answers.get(key); return a.ok ? a.body.items : [] }
  const done = r => r.id !== request.id && r.status !== 'pending'
  return Promise.all([
    request.session_id ? ask({ session_id: request.session_id, limit: 20 }) : [],
    request.action ? ask({ q: request.action.tool_name, status: 'approved,rejected,answered', limit: 30 }) : [],
  ]).then(([session, tool]) => ({
    session: session.filter(done).slice(0, 4),
    similar: tool.filter(r => done(r) && r.action?.tool_name === request.action.tool_name).slice(0, 3),
  }))
}

function following(id) {
  const at = state.order.indexOf(id)
  return at < 0 ? state.order[0] : state.order[at + 1] ?? state.order[at - 1] ?? null
}

function step(by, always) {
  const at = state.order.indexOf(state.openId)
  const id = at < 0 ? state.order[0] : state.order[at + by] ?? (always ? state.order[at - 1] : null)
  if (id) show(id)
  else if (always) show(null)
}

/** Open a request, or the list with null. */
async function show(id, { push = true, keep = false, advance = false, focus = true } = {}) {
  const before = state.openId
  if (!before && id) listScroll = scrollY
  state.openId = id
  missing = null
  armedAt = performance.now() + (advance ? 600 : 0)
  if (id) state.fresh.delete(id)
  document.body.dataset.view = id ? 'card' : 'list'
  const path = id ? `/requests/${id}` : '/'
  if (push && location.pathname !== path) {
    if (id && before && !phone()) history.replaceState(null, '', path); else history.pushState(null, '', path)
  }
  if (id && !state.requests.has(id)) {
    drawStage()
    try {
      const answer = await api.get(id)
      if (answer.ok) put(answer.body)
      else missing = answer.body || { title: 'Not found' }
    } catch { missing = { title: 'The server could not be reached.' } }
  }
  if (state.openId !== id) return
  changed()
  draw()
  if (id) { reveal(id); if (!keep) stage.scrollTo(0, 0); if (phone() && !keep) scrollTo(0, 0); if (focus) $('h2', stage)?.focus({ preventScroll: true }) }
  else if (before) {
    if (phone()) scrollTo(0, listScroll)
    $(`#rows [data-id="${CSS.escape(before)}"] a`)?.focus({ preventScroll: true })
  }
}

function drawStage() {
  const request = state.requests.get(state.openId)
  if (!request) {
    card = null
    const sign = state.openId ? missing ? h('div.blank', null, icon('info'), h('h2', { tabindex: '-1' }, missing.title), h('p.quiet', null, missing.detail || ''), h('button', { type: 'button', onclick: () => show(null) }, 'Back to the inbox'))
      : h('div.skeleton.card', { 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i'))
      : h('div.blank', null, icon('check'), h('p', null, state.order.length ? 'Choose a request.' : 'All done. The next request opens from the list.'))
    stage.replaceChildren(sign)
    return
  }
  let entry = cards.get(request.id)
  if (entry && request.status === 'pending') {
    if (shown(entry.card.request)?.digest === shown(request)?.digest) entry.card.moved(request)
    else if (!stale.has(request.id)) stale.set(request.id, entry.card.draft())
  }
  if (!entry || entry.card.request !== request) {
    const was = entry?.card
    if (was && request.status !== 'pending') tooLate(request, was)
    entry = { card: createCard(request, ctx), context: entry?.context || contextView(request, related) }
    if (was && request.status === 'pending') { armedAt = performance.now() + 800; announce('The arguments were changed. Read them again.') }
    if (was && request.status !== 'pending' && card === was) {
      const r = result(request)
      announce(`${r.word}${request.decision ? ` by ${request.decision.by.name || request.decision.by.id}` : ''}`)
      if (!mine.has(request.id)) stage.scrollTo(0, 0)
    }
  }
  cards.delete(request.id)
  cards.set(request.id, entry)
  if (cards.size > 24) cards.delete([...cards.keys()].find(id => !cards.get(id).card.typing() && id !== request.id) ?? cards.keys().next().value)
  if (card !== entry.card) {
    card = entry.card
    if (entry.seen !== undefined) entry.context.refresh()
    entry.seen = state.closed
    stage.replaceChildren(card.el, entry.context)
  } else if (entry.seen !== state.closed) {
    entry.seen = state.closed
    clearTimeout(later)
    later = setTimeout(entry.context.refresh, 300)   // many may close at once
  }
  card.refresh()
}

/** Decided by somebody else while something was typed here: it is shown with the outcome. */
function tooLate(request, was) {
  const kept = state.unsent.get(request.id), d = request.decision
  if (kept) keepUnsent(request.id, null)
  if (mine.has(request.id) || lost.has(request.id)) return
  const arrived = kept && d && d.type === kept.type && d.reason === (kept.reason || '') && d.option === (kept.option ?? null)
  const body = arrived ? null : kept || was.draft()
  if (body) lost.set(request.id, body)
}

function drawStops() {
  const box = $('#stops'), key = JSON.stringify(state.stops)
  if (!box || box.dataset.key === key) return
  box.dataset.key = key
  box.replaceChildren(...state.stops.map(s => h('p', null, icon('stop'), h('b', null, STOPPED[s.kind], s.value && [' ', visible(s.label || s.value)], ' is stopped.'), ' Nothing of it can be approved or run.', s.reason && [' ', visible(s.reason)], ' ', h('a', { href: '/stops' }, 'Who, and since when'))))
  for (const entry of cards.values()) entry.card.stopped()
}

function drawBanner() {
  const box = $('#banner'), link = state.link
  document.body.dataset.link = link
  $('#link').textContent = { live: 'Live', lost: 'Offline', connecting: 'Connecting', 'signed-out': 'Signed out' }[link]
  if (link === 'live' || link === 'connecting') { box.replaceChildren(); box.dataset.kind = ''; return }
  if (box.dataset.kind !== link) {
    box.dataset.kind = link
    box.replaceChildren(icon('warn'), link === 'lost'
      ? h('p', null, h('b', null, 'The server cannot be reached. '), 'What you see is ', h('span', { id: 'age' }), ' old. Trying again.')
      : h('p', null, h('b', null, 'Your sign-in has ended. '), 'Run ', h('code', null, `sayso login-link${location.port && location.port !== '8080' ? ` --port ${location.port}` : ''}`), ' and open the link it prints. What you typed here is kept.'),
    h('button', { type: 'button', onclick: stream.reconnect }, link === 'lost' ? 'Try now' : 'I have signed in'))
  }
  age()
}
const age = () => { const el = $('#age'); if (el) el.textContent = span((Date.now() - state.contactAt) / 1000) }

function draw() {
  if (!state.openId && !phone() && state.order.length && !$('#filter').matches(':focus') && document.body.dataset.settled !== 'yes') {
    document.body.dataset.settled = 'yes'
    state.openId = state.order[0]
  }
  drawQueue()
  if (!revealed && state.openId) revealed = !!reveal(state.openId) && state.loaded
  drawStage()
  drawStops()
  drawBanner()
  refreshTimes()
}

function press(key) {
  if (key === 'j' || key === 'ArrowDown' && document.activeElement?.closest('#rows')) { step(1); return true }
  if (key === 'k' || key === 'ArrowUp' && document.activeElement?.closest('#rows')) { step(-1); return true }
  if (key === 'Enter') { $('h2', stage)?.focus(); return true }
  if (key === '/') { show2list(); $('#filter').focus(); $('#filter').select(); return true }
  if (key === 'Escape') {
    const menu = $('details.menu[open]')
    if (menu) { menu.open = false; return true }
    if (card?.close()) return true
    if (phone() && state.openId) { show(null); return true }
    return false
  }
  return performance.now() > armedAt && card ? card.press(key) : false
}
const show2list = () => { if (phone() && state.openId) show(null) }

function boot() {
  const embedded = parse($('#data').textContent)
  state.person = embedded.person
  state.names = embedded.names
  state.stops = embedded.stops
  restoreUnsent()
  for (const request of embedded.requests) put(request)
  if (embedded.selected) { put(embedded.selected); state.openId = embedded.selected.id }
  else if (location.pathname.startsWith('/requests/')) state.openId = decodeURIComponent(location.pathname.slice(10))
  state.loaded = !embedded.next && embedded.requests.length > 0
  document.body.classList.add('scripted')
  if (embedded.problem) toast(embedded.problem.detail || embedded.problem.title, 'bad')
  watch(draw)
  document.addEventListener('click', event => {
    const link = event.target.closest('a[data-open]')
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) { event.preventDefault(); show(link.dataset.open) }
    for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false
  })
  $('#filter').addEventListener('input', event => { state.filter = event.target.value; changed() })
  addEventListener('popstate', () => show(location.pathname.startsWith('/requests/') ? decodeURIComponent(location.pathname.slice(10)) : null, { push: false }))
  matchMedia('(max-width: 1023px)').addEventListener('change', changed)
  startKeys(press)
  let seconds = 0
  startClock(() => { age(); if (++seconds % 60 === 0) changed() })
  stream.start(request => announce(`New request: ${spelled(summary(request))}${request.action?.risk_class ? `, ${request.action.risk_class} risk` : ''}`))
  changed()
}

boot()

// fetched while nobody waits, so that editing works when the signal is gone
addEventListener('load', () => setTimeout(() => Promise.all(['editor', 'forms', 'remember', 'signing'].map(ctx.load)).catch(() => {}), 300))
