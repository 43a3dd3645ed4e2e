// The only place that speaks HTTP. An answer of any status is an answer; no answer is Unreachable.

import { parse } from './json.js'
import { setClock } from './time.js'

export class Unreachable extends Error {}

export async function call(method, path, body) {
  let response, text
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: AbortSignal.timeout(15000),
    })
    text = await response.text()
  } catch (error) {
    throw new Unreachable(error.message)
  }
  if (response.status === 502 || response.status === 503 || response.status === 504) throw new Unreachable(String(response.status))
  setClock(response.headers.get('date'))
  let data = null
  try { data = text ? parse(text) : null } catch { data = { title: text.slice(0, 200) } }
  return { ok: response.ok, status: response.status, body: data }
}

export const decide = (id, body) => call('POST', `/api/v1/requests/${encodeURIComponent(id)}/decision`, body)
export const cancel = (id, reason) => call('POST', `/api/v1/requests/${encodeURIComponent(id)}/cancel`, { reason })
export const get = id => call('GET', `/api/v1/requests/${encodeURIComponent(id)}`)
export const stops = () => call('GET', '/api/v1/stops')
export const names = ids => call('GET', '/api/v1/names?' + new URLSearchParams({ id: ids }))
export const me = () => call('GET', '/api/auth/me')
export const list = query => call('GET', '/api/v1/requests?' + new URLSearchParams(query))

/** Every pending request, page after page. */
export async function pending() {
  const items = []
  let after = null
  do {
    const answer = await list({ status: 'pending', limit: 200, ...(after && { after }) })
    if (!answer.ok) return answer
    items.push(...answer.body.items)
    after = answer.body.next
  } while (after)
  return { ok: true, status: 200, body: items }
}
