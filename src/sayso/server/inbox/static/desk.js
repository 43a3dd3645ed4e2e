// The desk: the open card and what becomes of it. Fetched with the first request that is opened.

import { $, phone } from './dom.js'
import * as api from './api.js'
import { state, changed, put, keepUnsent } from './store.js'
import * as stream from './stream.js'
import { createCard, contextView } from './card.js'
import { shown } from './review.js'
import { counted, result } from './marks.js'
import { toast, announce } from './toast.js'

const stage = $('#stage')
const cards = new Map()      // the cards opened last, with what was typed in them
const lost = new Map()       // decisions of mine that came too late
const stale = new Map()      // what was typed for arguments that somebody has changed since
const mine = new Set()
let card = null, later = 0, list = null

const SAID = {
  approve: ['good', 'Approved. The agent goes on.'], edit: ['good', 'Approved with your changes. The agent goes on with them.'],
  respond: ['info', 'Answered. The agent reads it.'], reject: ['no', 'Rejected. The agent is told why.'],
  ignore: ['no', 'Ignored. The agent is told no.'], cancel: ['info', 'Cancelled.'],
}

const ctx = {
  lost, stale,
  back: () => list.show(null),
  next: () => phone() ? list.show(null) : list.step(1, true),
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
      if (state.openId === request.id) phone() ? list.show(null) : list.show(after && after !== request.id ? after : request.id, { advance: true })
      return null
    }
    const said = body.type === 'reject' && !body.reason ? ['no', 'Rejected. The agent is told no.'] : body.type === 'respond' && body.option != null && d ? [d.approved ? 'good' : 'no', d.approved ? 'Answered with a yes. The agent goes on.' : 'Answered with a no.'] : SAID[body.type]
    toast(said[1], said[0])
    if (state.openId === request.id) phone() ? list.show(null) : after ? list.show(after, { advance: true }) : list.show(request.id, { keep: true })
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

/** Draw the card of a request on the stage; the same one again is kept, with what was typed in it. */
function draw(request) {
  let entry = cards.get(request.id)
  if (entry && request.status === 'pending') {
    if (shown(entry.card.request)?.digest === shown(request)?.digest) entry.card.moved(request)
    else if (!stale.has(request.id)) stale.set(request.id, entry.card.draft())
  }
  if (!entry || entry.card.request !== request) {
    const was = entry?.card
    if (was && request.status !== 'pending') tooLate(request, was)
    entry = { card: createCard(request, ctx), context: entry?.context || contextView(request, related) }
    if (request.status === 'pending' && stale.has(request.id)) list.arm(800)   // a press that was on its way is for what was there before
    if (was && request.status === 'pending') announce('The arguments were changed. Read them again.')
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

/** What the list needs of it; `on` is what it needs of the list: show(id, how), step(by, always), arm(milliseconds). */
export function createDesk(on) {
  list = on
  return {
    draw,
    clear: () => { card = null },
    close: () => card?.close(),
    press: key => card?.press(key),
    stopped: () => { for (const entry of cards.values()) entry.card.stopped() },
  }
}
