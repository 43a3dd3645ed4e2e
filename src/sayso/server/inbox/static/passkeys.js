// The page of a person's passkeys: add, rename, remove.

import { $, h, icon } from './dom.js'
import * as api from './api.js'
import { obstacle, make, sign, NotSigned } from './passkey.js'

const page = $('#passkeys'), notice = $('#notice'), form = $('#add')
document.body.classList.add('scripted')

function tell(tone, ...words) {
  notice.replaceChildren(h(`div.note.${tone}`, { role: tone === 'bad' ? 'alert' : 'status' }, icon(tone === 'good' ? 'check' : tone === 'bad' ? 'warn' : 'info'), h('div', null, words)))
  notice.scrollIntoView({ block: 'nearest' })
}

class Refused extends Error {}

async function post(path, body = {}) {
  const answer = await api.call('POST', `/api/v1/passkeys${path}`, body)
  if (answer.status === 401) location.assign('/login')
  if (!answer.ok) throw new Refused([answer.body?.detail || answer.body?.title, answer.body?.hint].filter(Boolean).join(' '))
  return answer.body
}

/** One thing at a time; what goes wrong is told. */
async function attempt(what, run) {
  const buttons = [...page.querySelectorAll('button')]
  for (const b of buttons) b.disabled = true
  try {
    await run()
    location.reload()
  } catch (error) {
    if (!(error instanceof Refused || error instanceof NotSigned || error instanceof api.Unreachable)) throw error
    tell('bad', h('p', null, h('b', null, `${what} `), error instanceof api.Unreachable ? 'The server could not be reached.' : error.message))
  } finally {
    for (const b of buttons) b.disabled = false
  }
}

form.addEventListener('submit', event => {
  event.preventDefault()
  const name = form.elements.name.value.trim()
  if (!name) return
  attempt('Not added.', async () => {
    const begun = await post('/options')
    if (begun.confirm) tell('info', h('p', null, h('b', null, 'First confirm with a passkey that you have. '), 'Then your device makes the new one.'))
    const confirmation = begun.confirm && await sign(begun.confirm)
    const credential = await make(begun.options)
    await post('', { name, nonce: begun.nonce, credential, confirmation })
  })
})

function rename(row) {
  const { id, name } = row.dataset, tools = $('.key-tools', row)
  const input = h('input', { value: name, maxlength: 100, required: true, dir: 'auto', 'aria-label': `New name of ${name}` })
  const box = h('form.key-rename', { onsubmit(event) {
    event.preventDefault()
    if (input.value.trim()) attempt('Not renamed.', () => post(`/${id}/rename`, { name: input.value.trim() }))
  } }, input, h('button.primary', null, 'Save'), h('button', { type: 'button', onclick() { box.replaceWith(tools); $('button', tools).focus() } }, 'Back'))
  tools.replaceWith(box)
  input.select()
}

/** Whoever has lost them cannot confirm: a code from the server's machine will do. */
function lost(id) {
  const input = h('input', { class: 'mono', required: true, autocomplete: 'off', spellcheck: 'false', 'aria-label': 'The code' })
  return h('details.plain-form', null, h('summary.button', null, 'It is lost'), h('form.panel', { onsubmit(event) {
    event.preventDefault()
    attempt('Not removed.', () => post(`/${id}/remove`, { code: input.value.trim() }))
  } }, h('p', null, 'An admin can remove it for you. Or run ', h('code', null, 'sayso passkey-code'), ' on the machine where Sayso runs, and enter the code that it prints:'), input, h('button.reject', null, 'Remove it without it')))
}

function remove(row) {
  const { id, name } = row.dataset, tools = $('.key-tools', row)
  const last = page.dataset.count === '1'
  const box = h('div.key-sure', null, h('p', null, h('b', null, `Remove ${name}? `), last ? 'It is your only one: what takes a passkey cannot be approved by you then. ' : '', 'You confirm it with a passkey.'),
    h('button.reject', { type: 'button', onclick: () => attempt('Not removed.', async () => {
      const begun = await post(`/${id}/challenge`)
      await post(`/${id}/remove`, { assertion: { nonce: begun.nonce, credential: await sign(begun.options) } })
    }) }, 'Remove it'), lost(id), h('button', { type: 'button', onclick() { box.replaceWith(tools); $('button', tools).focus() } }, 'Back'))
  tools.replaceWith(box)
  $('button', box).focus()
}

page.addEventListener('click', event => {
  const button = event.target.closest('button[data-do]')
  if (button) ({ rename, remove })[button.dataset.do](button.closest('li'))
})

const wrong = page.dataset.named ? obstacle(page.dataset.origin) : obstacle()
if (wrong) {
  tell('warn', wrong)
  for (const el of page.querySelectorAll('form input, form button, [data-do=remove]')) el.disabled = true
}
