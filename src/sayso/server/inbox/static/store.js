// What the page knows, in one place. Views subscribe; nobody else keeps a copy.

import { secondsLeft } from './time.js'
import { summary } from './headline.js'

const watchers = new Set()
let queued = false

export const state = {
  requests: new Map(),   // every request seen, by id
  order: [],             // ids of the pending ones that pass the filter, most urgent first
  openId: null,
  filter: '',
  parked: false,         // only those that wait though their deadline is over
  fresh: new Set(),      // arrived while the page was open, not opened yet
  unsent: new Map(),     // decisions that did not reach the server, by request id
  link: 'connecting',    // connecting | live | lost | signed-out
  contactAt: Date.now(), // when the server last answered
  loaded: false,
  person: null,          // who is signed in: {id, name, powers}
  names: {},             // of people, by id, as far as they are known
  stops: [],             // what is stopped
  closed: 0,             // how many were seen to close: what was before is asked for anew when it rises
}

/** Whether whoever is signed in may do this; in the gallery they may do everything. */
export const may = power => !state.person?.powers || state.person.powers.includes(power)

export const watch = fn => { watchers.add(fn) }

export function changed() {
  if (queued) return
  queued = true
  queueMicrotask(() => { queued = false; sort(); for (const fn of watchers) fn(state) })
}

const PRIORITY = { urgent: 4, high: 2, normal: 1, low: 0 }
const RISK = { high: 3, medium: 1, low: 0 }

export function urgency(request) {
  const s = secondsLeft(request)
  const near = s < 60 ? 4 : s < 300 ? 2 : s < 3600 ? 1 : 0
  return near + (PRIORITY[request.priority] ?? 1) + (RISK[request.action?.risk_class] ?? 0)
}

const texts = new WeakMap()
const OPERATOR = /^(risk|kind|is):/   // told by the request itself: no text of an agent's passes for one
function matches(request, words) {
  let text = texts.get(request)
  if (!text) {
    const a = request.action
    text = [summary(request), request.message, request.client_id, request.session_id, a?.tool_name,
      request.priority].join('\n').toLowerCase()
    texts.set(request, text)
  }
  const told = [`risk:${request.action?.risk_class}`, `kind:${request.kind}`, request.parked_at && 'is:parked']
  return words.every(word => OPERATOR.test(word) ? told.some(each => each && each.startsWith(word)) : text.includes(word))
}

function sort() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean)
  const list = []
  for (const r of state.requests.values()) {
    if (r.status === 'pending' && (!state.parked || r.parked_at) && (!words.length || matches(r, words))) list.push([urgency(r), r.id])
  }
  // ids are time-ordered, so the newest first is the greatest id first
  list.sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? 1 : -1))
  state.order = list.map(item => item[1])
}

export const pendingCount = () => { let n = 0; for (const r of state.requests.values()) if (r.status === 'pending') n++; return n }

/** A closed request never opens again, so an older message cannot undo a newer one. */
export function put(request, { fresh = false } = {}) {
  const known = state.requests.get(request.id)
  if (known && known.status !== 'pending' && request.status === 'pending') return known
  if (known && known.version >= request.version) return known
  if (fresh && !known && request.status === 'pending') state.fresh.add(request.id)
  if (request.status !== 'pending') { state.fresh.delete(request.id); state.closed++ }
  state.requests.set(request.id, request)
  changed()
  return request
}

/** The whole pending list as the server has it; gives back the ids that are no longer pending. */
export function replacePending(items, askedAt) {
  const ids = new Set(items.map(r => r.id))
  const gone = []
  for (const r of items) put(r, { fresh: state.loaded })
  for (const r of state.requests.values()) {
    if (r.status === 'pending' && !ids.has(r.id) && Date.parse(r.created_at) < askedAt - 2000) gone.push(r.id)
  }
  for (const id of gone) if (id !== state.openId) state.requests.delete(id)
  state.loaded = true
  changed()
  return gone
}

const KEY = 'sayso.unsent'
export function keepUnsent(id, body) {
  if (body) state.unsent.set(id, body)
  else state.unsent.delete(id)
  try { sessionStorage.setItem(KEY, JSON.stringify([...state.unsent])) } catch { /* private mode: memory is enough */ }
  changed()
}
export function restoreUnsent() {
  try { for (const [id, body] of JSON.parse(sessionStorage.getItem(KEY) || '[]')) state.unsent.set(id, body) } catch { /* nothing kept */ }
}
