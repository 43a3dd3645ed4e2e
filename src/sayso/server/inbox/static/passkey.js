// Passkeys in this browser: what stands in the way of one, and having one made or asked to sign.

import { h } from './dom.js'

/** What happened instead, as words for a person. */
export class NotSigned extends Error {}

const isAddress = host => /^[\d.]+$|:/.test(host)

/** Why passkeys cannot be used on this page, with the way out; null if they can. */
export function obstacle(origin = '') {
  const path = location.pathname
  if (isAddress(location.hostname)) {
    const port = location.port ? `:${location.port}` : ''
    const there = origin && !isAddress(new URL(origin).hostname) ? origin : /^(127\.|\[?::1)/.test(location.hostname) ? `${location.protocol}//localhost${port}` : ''
    return h('p', null, h('b', null, `Passkeys do not work at ${location.hostname}. `), 'Browsers make none for an IP address. ',
      there ? ['Open ', h('a', { href: there + path }, `this page at ${there.replace(/^https?:\/\//, '')}`), ' instead; there you sign in anew.'] : 'Open this page by the name of the server.')
  }
  if (!isSecureContext) return h('p', null, h('b', null, 'Passkeys need HTTPS. '), 'This page came without it: open it by https:// or, on the same machine, by localhost.')
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return h('p', null, h('b', null, 'This browser has no passkeys. '), 'Use a current Chrome, Edge, Firefox or Safari.')
  if (origin && origin !== location.origin) return h('p', null, h('b', null, 'Passkeys do not work at this address. '), 'They are made for ', h('a', { href: origin + path }, origin), '.')
  return null
}

async function ceremony(run) {
  try {
    return (await run()).toJSON()
  } catch (error) {
    throw new NotSigned({
      NotAllowedError: 'It was cancelled, took too long, or no passkey that fits was at hand.',
      InvalidStateError: 'This device has a passkey for you already.',
      SecurityError: 'Passkeys do not work at this address.',
    }[error.name] || `The browser says: ${error.message}`)
  }
}

/** Have a passkey sign; gives what the server wants back. */
export const sign = options => ceremony(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }))

/** Have the device make a passkey. */
export const make = options => ceremony(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }))
