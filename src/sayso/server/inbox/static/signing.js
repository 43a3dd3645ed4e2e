// Approving with a passkey: what is signed, the passkey, and then the decision.

import { h, icon } from './dom.js'
import * as api from './api.js'
import { obstacle, sign, NotSigned } from './passkey.js'

const FRESH = 240000   // the server takes a challenge for five minutes

/** {el, go()}: `el` shows what is signed; `go` asks for the passkey and gives `send` the signed decision. */
export function signing(request, body, { send, digest, short }) {
  const state = h('div', { 'aria-live': 'polite' })
  const button = h('button.primary', { type: 'button', disabled: true, onclick: go }, icon('key'), 'Approve with a passkey')
  const shown = digest && h('p.quiet.signed', null, 'Your passkey signs for ', h('span.mono', null, short(digest)), '.')
  let challenge = null, askedAt = 0, busy = false

  const tell = (tone, ...words) => state.replaceChildren(h(`div.note.${tone}`, tone === 'bad' ? { role: 'alert' } : null, icon(tone === 'bad' ? 'warn' : 'info'), h('div', null, words)))
  const block = words => { button.disabled = true; tell('warn', words) }

  /** What the server would have signed, and whether that is what is in sight. */
  async function ask() {
    const answer = await api.call('POST', `/api/v1/requests/${encodeURIComponent(request.id)}/challenge`, body)
    if (!answer.ok) {
      const told = answer.body || {}
      if (told.code === 'no_passkey') block(h('p', null, h('b', null, 'You have no passkey yet. '), h('a', { href: '/passkeys' }, 'Add one'), ', then come back to this request.'))
      else block(h('p', null, h('b', null, 'This cannot be signed. '), told.detail || told.title || '', told.hint ? ` ${told.hint}` : ''))
      return false
    }
    const statement = JSON.parse(answer.body.text)
    if (statement.type !== body.type || statement.request_id !== request.id || (digest && statement.digest !== digest)) {
      block(h('p', null, h('b', null, 'This is not what you see. '), 'The request was changed meanwhile: load the page again, and read it anew.'))
      return false
    }
    if (!digest && answer.body.digest) state.before(h('p.quiet.signed', null, 'Your passkey signs for ', h('span.mono', null, short(answer.body.digest)), ', the digest of the edited arguments.'))
    digest ||= answer.body.digest
    challenge = answer.body
    askedAt = Date.now()
    return true
  }

  async function prepare() {
    const wrong = obstacle()
    if (wrong) return block(wrong)
    try {
      if (!await ask()) return
      const elsewhere = obstacle(challenge.origin)
      if (elsewhere) return block(elsewhere)
      button.disabled = false
      if (document.activeElement === document.body || state.closest('.panel')?.contains(document.activeElement)) button.focus({ preventScroll: true })
    } catch (error) {
      if (!(error instanceof api.Unreachable)) throw error
      block(h('p', null, 'The server could not be reached. Go back, and try again.'))
    }
  }

  async function go() {
    if (busy || button.disabled) return
    busy = button.disabled = true
    state.replaceChildren()
    try {
      if (Date.now() - askedAt > FRESH && !await ask()) return
      const credential = await sign(challenge.options)
      askedAt = 0   // it is used up, whatever comes of it
      await send({ ...body, assertion: { nonce: challenge.nonce, credential } })
    } catch (error) {
      if (error instanceof NotSigned) tell('bad', h('p', null, h('b', null, 'Not signed, not decided. '), error.message))
      else if (error instanceof api.Unreachable) tell('bad', h('p', null, 'The server could not be reached. Nothing was decided.'))
      else throw error
    } finally {
      busy = button.disabled = false
    }
  }

  prepare()
  return { el: h('div.signing', null, shown, state), button, go }
}
