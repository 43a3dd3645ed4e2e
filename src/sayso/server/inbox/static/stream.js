// One EventSource. Messages tell what changed; on each (re)connect the list is fetched whole, so nothing is missed.

import * as api from './api.js'
import { parse } from './json.js'
import { state, put, replacePending, changed, may } from './store.js'
import { now } from './time.js'

const TYPES = ['request.submitted', 'request.decided', 'request.expired', 'request.cancelled', 'request.extended', 'request.reminded', 'request.voted', 'request.escalated', 'request.parked', 'grant.claimed', 'grant.ended', 'outcome.reported']
let source = null, timer = 0, wait = 1000, syncing = null, arrived = () => {}

export const contact = () => { state.contactAt = Date.now() }

export function setLink(link) {
  if (state.link === link) return
  state.link = link
  changed()
}

export function sync() {
  return syncing ||= (async () => {
    const askedAt = now()
    try {
      const answer = await api.pending()
      if (answer.status === 401) return setLink('signed-out')
      if (!answer.ok) return
      contact()
      const gone = replacePending(answer.body, askedAt)
      if (gone.includes(state.openId)) {
        const open = await api.get(state.openId)
        if (open.ok) put(open.body)
      }
    } catch (error) {
      if (!(error instanceof api.Unreachable)) throw error
      lost()
    } finally { syncing = null }
  })()
}

function lost() {
  source?.close()
  source = null
  if (state.link !== 'signed-out') setLink('lost')
  clearTimeout(timer)
  timer = setTimeout(connect, wait)
  wait = Math.min(wait * 2, 15000)
}

/** What is stopped, asked for anew; the banner tells of it. */
async function lookAtStops() {
  try {
    const answer = await api.stops()
    if (answer.ok) { state.stops = answer.body.items; changed() }
  } catch (error) { if (!(error instanceof api.Unreachable)) throw error }
}

export function reconnect() { if (state.link === 'live') setLink('connecting'); wait = 1000; clearTimeout(timer); source?.close(); source = null; connect() }

async function connect() {
  try {
    const answer = await api.me()
    if (answer.status === 401) { setLink('signed-out'); timer = setTimeout(connect, 5000); return }
  } catch { return lost() }
  contact()
  source = new EventSource('/api/v1/events')
  source.onopen = () => { wait = 1000; contact(); setLink('live'); sync(); if (may('read')) lookAtStops() }
  source.onerror = lost
  for (const type of ['stop.set', 'stop.lifted']) source.addEventListener(type, lookAtStops)
  for (const type of TYPES) source.addEventListener(type, event => {
    contact()
    const { request } = parse(event.data)
    if (!request) return
    const isNew = !state.requests.has(request.id)
    put(request, { fresh: true })
    if (isNew && request.status === 'pending') arrived(request)
  })
}

export function start(onArrival) {
  arrived = onArrival
  connect()
  addEventListener('online', reconnect)
  addEventListener('offline', lost)
  addEventListener('pagehide', () => source?.close())
  addEventListener('pageshow', event => { if (event.persisted) reconnect() })
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && Date.now() - state.contactAt > 30000) source ? sync() : reconnect()
  })
}
