// The inbox: binds the store, the stream and the list, and fetches the desk when a request is opened.

import { $, h, icon, phone, onScreen } from './dom.js'
import * as api from './api.js'
import { parse } from './json.js'
import { state, watch, changed, put, restoreUnsent } from './store.js'
import * as stream from './stream.js'
import { drawQueue, reveal } from './queue.js'
import { parts } from './headline.js'
import { visible, spelled, fetchMarks } from './fence.js'
import { STOPPED } from './marks.js'
import { startKeys } from './keys.js'
import { startClock, refreshTimes, span } from './time.js'
import { toast, announce } from './toast.js'

const stage = $('#stage')
const PANELS = ['editor', 'forms', 'remember', 'signing']
let desk = null, coming = null, held = []
const PAUSE = 600   // milliseconds in which nothing decides what has come up by itself
let arming = 0, byItself = false, listScroll = 0, missing = null, revealed = false

/** Everything that an open card takes: its modules and its styles. What cannot be had is told on the stage; without styles a card decides all the same. */
function fetchDesk() {
  return coming ||= Promise.all([import('./desk.js'), styles('card')?.catch(() => {}), fetchMarks()]).then(([module]) => {
    desk = module.createDesk({ show, step, arm })
    setTimeout(release)   // after whoever waits for the desk has drawn the card and moved the focus
  }, () => {
    coming = null
    missing = { title: 'The request could not be opened.', detail: 'A part of this page could not be loaded. Open it again when the server can be reached.' }
    if (drawnByServer()) toast('A part of this page could not be loaded. Its buttons decide, its keys do not.', 'bad')
  }).then(changed)
}

const styles = name => $(`link[rel=stylesheet][href^="/static/${name}.css"]`) ? null : new Promise((resolve, reject) => {
  const href = $('link[rel=stylesheet]').getAttribute('href').replace('app.css', `${name}.css`)
  const link = h('link', { rel: 'stylesheet', href, onload: resolve, onerror() { link.remove(); reject(new Error(href)) } })
  $('link[rel=stylesheet]').after(link)
})

/** Nothing decides for a while: no press was meant for what came up only now. */
function arm(milliseconds) {
  clearTimeout(arming)
  if (milliseconds) stage.dataset.armed = 'no'
  else delete stage.dataset.armed
  arming = milliseconds && setTimeout(arm, milliseconds, 0)
}

function step(by, always) {
  const at = state.order.indexOf(state.openId)
  const id = at < 0 ? state.order[0] : state.order[at + by] ?? (always ? state.order[at - 1] : null)
  if (id) show(id)
  else if (always) show(null)
}

const addressOf = id => (id ? `/requests/${id}` : '/') + (state.parked ? '?parked=true' : '')

/** Open a request, or the list with null; `advance`: nobody asked for exactly this one. */
async function show(id, { push = true, keep = false, advance = false, focus = true } = {}) {
  const before = state.openId
  if (!before && id) listScroll = scrollY
  state.openId = id
  missing = null
  held = []
  byItself = advance
  arm(0)
  if (id) state.fresh.delete(id)
  document.body.dataset.view = id ? 'card' : 'list'
  const path = addressOf(id)
  if (push && location.pathname + location.search !== path) {
    if (id && before && !phone()) history.replaceState(null, '', path); else history.pushState(null, '', path)
  }
  const arrival = id && !desk && fetchDesk()
  if (id && !state.requests.has(id)) {
    drawStage()
    try {
      const answer = await api.get(id)
      if (answer.ok) put(answer.body)
      else missing = answer.body || { title: 'Not found' }
    } catch { missing = { title: 'The server could not be reached.' } }
  }
  if (arrival && state.openId === id) { draw(); await arrival }
  if (state.openId !== id) return
  changed()
  draw()
  if (id) { reveal(id); if (!keep) stage.scrollTo(0, 0); if (phone() && !keep) scrollTo(0, 0); if (focus) $('h2', stage)?.focus({ preventScroll: true }); release() }
  else if (before) {
    if (phone()) scrollTo(0, listScroll)
    $(`#rows [data-id="${CSS.escape(before)}"] a`)?.focus({ preventScroll: true })
  }
}

const isDrawable = () => desk && state.requests.has(state.openId)
const cardOf = id => $(`article[data-id="${CSS.escape(id)}"]`, stage)
/** The open card as the server drew it, with plain forms that decide without script. */
const drawnByServer = () => !desk && state.openId && cardOf(state.openId)

function drawStage() {
  const id = state.openId
  if (isDrawable()) {
    desk.draw(state.requests.get(id))
    if (byItself) { byItself = false; arm(PAUSE) }
    return
  }
  desk?.clear()
  if (missing) held = []
  if (id && !desk && !missing) fetchDesk()
  if (drawnByServer()) return
  const sign = id ? missing ? h('div.blank', null, icon('info'), h('h2', { tabindex: '-1' }, missing.title), h('p.quiet', null, missing.detail || ''), h('button', { type: 'button', onclick: () => show(null) }, 'Back to the inbox'))
    : h('div.skeleton.card', { 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i'))
    : h('div.blank', null, icon('check'), h('p', null, state.order.length ? 'Choose a request.' : state.parked || state.filter ? 'No request is open.' : 'All done. The next request opens from the list.'))
  stage.replaceChildren(sign)
}

const DECIDES = /^[a1-9]$/
const tooSoon = (key, why) => toast(`Not decided: ${why}. Read the request, then press ${key} again.`, 'info')

/** The keys that were pressed before the card was there. What would decide is not taken for a card that nobody had seen. */
function release() {
  if (!isDrawable()) return
  for (const key of held.splice(0)) {
    if (DECIDES.test(key)) tooSoon(key, 'the page was not ready')
    else press(key)
  }
}

function drawStops() {
  const box = $('#stops'), key = JSON.stringify(state.stops)
  if (!box || box.dataset.key === key) return
  box.dataset.key = key
  box.replaceChildren(...state.stops.map(s => h('p', null, icon('stop'), h('b', null, STOPPED[s.kind], s.value && [' ', visible(s.label || s.value)], ' is stopped.'), ' Nothing of it can be approved or run.', s.reason && [' ', visible(s.reason)], ' ', h('a', { href: '/stops' }, 'Who, and since when'))))
  desk?.stopped()
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
    document.body.dataset.view = 'card'
    state.openId = state.order[0]
    byItself = true
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
  if (state.openId && !missing && !isDrawable() && /^[a-z1-9]$|^Enter$/.test(key)) { held.push(key); return true }
  if (key === 'Enter') { $('h2', stage)?.focus(); return true }
  if (key === '/') { show2list(); $('#filter').focus(); $('#filter').select(); return true }
  if (key === 'Escape') {
    const menu = $('details.menu[open]')
    if (menu) { menu.open = false; return true }
    if (desk?.close()) return true
    if (phone() && state.openId) { show(null); return true }
    return false
  }
  return pressCard(key)
}

/** The only way of a key to a card: one out of sight, or that only just came up, takes none. Tapping starts the pause anew. */
function pressCard(key) {
  if (!isDrawable() || !onScreen(cardOf(state.openId))) return false
  if (!stage.dataset.armed) return desk.press(key)
  if (!DECIDES.test(key)) return false
  arm(PAUSE)
  tooSoon(key, 'the request has only just come up')
  return true
}
const show2list = () => { if (phone() && state.openId) show(null) }

const isParked = () => new URLSearchParams(location.search).get('parked') === 'true'

function boot() {
  const embedded = parse($('#data').textContent)
  state.person = embedded.person
  state.names = embedded.names
  state.stops = embedded.stops
  restoreUnsent()
  for (const request of embedded.requests) put(request)
  if (embedded.selected) { put(embedded.selected); state.openId = embedded.selected.id }
  else if (location.pathname.startsWith('/requests/')) state.openId = decodeURIComponent(location.pathname.slice(10))
  state.parked = isParked()
  state.loaded = !embedded.next && !state.parked && embedded.requests.length > 0
  document.body.classList.add('scripted')
  if (embedded.problem) toast(embedded.problem.detail || embedded.problem.title, 'bad')
  watch(draw)
  document.addEventListener('click', event => {
    const tab = event.target.closest('#tabs a')
    if (tab && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault()
      state.parked = tab.search !== ''
      history.replaceState(null, '', addressOf(state.openId))
      changed()
    }
    const link = event.target.closest('a[data-open]')
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) { event.preventDefault(); show(link.dataset.open) }
    for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false
  })
  $('#filter').addEventListener('input', event => { state.filter = event.target.value; changed() })
  addEventListener('popstate', () => { state.parked = isParked(); show(location.pathname.startsWith('/requests/') ? decodeURIComponent(location.pathname.slice(10)) : null, { push: false }) })
  // What was open beside the list is the view now, with an address of its own.
  matchMedia('(max-width: 1023px)').addEventListener('change', () => { if (phone() && state.openId) show(state.openId, { keep: true, focus: false, advance: true }); else changed() })
  startKeys(press)
  let seconds = 0
  startClock(() => { age(); if (++seconds % 60 === 0) changed() })
  stream.start(announceNew)
  changed()
}

/** Read out, so spelled: that takes the marks, if it is not plain. */
async function announceNew(request) {
  const text = await Promise.all(parts(request).map(spelled))
  announce(`New request: ${text.join(' · ')}${request.action?.risk_class ? `, ${request.action.risk_class} risk` : ''}`)
}

boot()

// Fetched while nobody waits, so that the first card opens at once, and editing works when the signal is gone.
const whenIdle = globalThis.requestIdleCallback || (run => setTimeout(run, 300))
if (!navigator.connection?.saveData) addEventListener('load', () => whenIdle(() => Promise.all([fetchDesk(), ...PANELS.map(name => import(`./${name}.js`))]).catch(() => {})))
