// A decision that is to be remembered: for which arguments, how often, how long, for whom.
// What it would have let through is shown before it is given.

import { h, uid, icon, plural } from './dom.js'
import { isNumber, digits, parse } from './json.js'
import { visible } from './visible.js'
import { call, Unreachable } from './api.js'
import { asker } from './review.js'

const TIMES = [[3600, '1 hour'], [28800, '8 hours'], [86400, '1 day'], [604800, '7 days'], [2592000, '30 days']]
const text = v => typeof v === 'string' ? v : isNumber(v) ? digits(v) : JSON.stringify(v)
const select = (props, list) => h('select', props, list.map(([value, word]) => h('option', { value }, word)))

/** One argument: {row, read() -> pattern, or null while it is not complete}. */
function argument(name, value, changed) {
  const id = uid('limit'), one = h('input', { id: `${id}-of`, autocomplete: 'off', dir: 'auto', oninput: changed }), other = h('input', { autocomplete: 'off', inputmode: 'decimal', 'aria-label': `${name}, at most`, oninput: changed })
  const ways = [['equals', 'exactly this'], typeof value === 'string' && ['glob', 'matches'], isNumber(value) && ['range', 'a number from … to …'], ['any', 'anything']].filter(Boolean)
  const how = select({ id, onchange() { draw(); changed() } }, ways)
  const rest = h('div.limit')
  const number = field => { try { const v = parse(field.value.trim()); return isNumber(v) ? v : null } catch { return null } }
  function draw() {
    if (how.value === 'equals') rest.replaceChildren(h('span.mono.wrap', { dir: 'auto' }, visible(text(value).slice(0, 400)), text(value).length > 400 && '…'))
    else if (how.value === 'any') rest.replaceChildren(h('span.quiet', null, 'Whatever it is, or nothing at all.'))
    else if (how.value === 'glob') { one.value ||= value.slice(0, 256); one.setAttribute('aria-label', `${name} matches`); rest.replaceChildren(one, h('p.hint', null, '* stands for any characters, ? for one.')) }
    else { one.value ||= digits(value); other.value ||= digits(value); one.setAttribute('aria-label', `${name}, at least`); rest.replaceChildren(h('div.between', null, one, h('span', null, 'to'), other)) }
  }
  draw()
  return {
    row: h('div.field', null, h('label', { for: id }, visible(name)), how, rest),
    read() {
      if (how.value === 'equals') return { equals: value }
      if (how.value === 'any') return { any: true }
      if (how.value === 'glob') return one.value ? { glob: one.value } : null
      const min = number(one), max = number(other)
      return min === null || max === null || Number(digits(min)) > Number(digits(max)) ? null : { min, max }
    },
  }
}

/** What a preview tells, and how it is to be taken. */
function told(p) {
  if (!p.looked_at) return [h('p', null, `Nothing was decided in the last ${p.days} days, so nothing can be compared.`)]
  const some = p.is_all ? '' : `, of the newest ${p.looked_at}`
  return [
    h('p', null, 'Would have matched ', h('b', null, `${p.matched} of ${plural(p.looked_at, 'request')}`), ` of the last ${p.days} days${some}; `, h('b', null, p.rejected ? `${p.rejected} of them ${p.rejected === 1 ? 'was' : 'were'} rejected` : p.matched ? 'none of them was rejected' : 'so it is new'), '.'),
    p.rejected > 0 && h('p', null, 'Each of these would have run against somebody’s word: ', p.examples.map((id, i) => [i ? ', ' : '', h('a', { href: `/requests/${id}`, target: '_blank' }, String(i + 1))])),
  ]
}

/** `done(remember)` is called with the limits; `close()` leaves without deciding. */
export function rememberForm(request, { close, done }) {
  const { tool_name: tool, tool_args: args } = request.action
  let timer = 0, round = 0, good = null
  const look = h('div.note.preview', { 'aria-live': 'polite' })
  const send = h('button.primary', { type: 'button', disabled: true, onclick: () => good && done(good) }, 'Approve and remember')
  const fields = Object.entries(args).map(([name, value]) => [name, argument(name, value, changed)])
  const uses = uid('uses'), long = uid('long')
  const often = h('input', { id: uses, inputmode: 'numeric', autocomplete: 'off', value: '10', oninput: changed })
  const until = select({ id: long, onchange: changed }, TIMES)
  until.value = '86400'
  const only = [
    request.session_id && ['session_id', request.session_id, ['Only in this session, ', visible(request.session_id)]],
    request.client_id && ['client_id', request.client_id, ['Only for what calls itself ', visible(request.client_id)]],
    ['asked_by', `${request.requested_by.plane}:${request.requested_by.id}`, ['Only for this agent, ', visible(asker(request))]],
  ].filter(Boolean).map(([key, value, words]) => [key, value, h('input', { type: 'checkbox', checked: key === 'asked_by', onchange: changed }), words])

  function draft() {
    const limits = {}
    for (const [name, field] of fields) { const pattern = field.read(); if (!pattern) return `Say what ${name} may be.`; limits[name] = pattern }
    const n = often.value.trim()
    if (n && !/^[1-9]\d{0,6}$/.test(n)) return 'How often is a whole number, or nothing.'
    return { tool_name: tool, args: limits, uses: n ? Number(n) : null, seconds: Number(until.value), ...Object.fromEntries(only.filter(([, , box]) => box.checked).map(([key, value]) => [key, value])) }
  }

  function changed() {
    good = null
    send.disabled = true
    clearTimeout(timer)
    timer = setTimeout(preview, 250)
  }

  async function preview() {
    const mine = ++round, body = draft()
    const say = (tone, sign, ...words) => { look.className = `note preview ${tone}`; look.replaceChildren(icon(sign), h('div', null, words)) }
    if (typeof body === 'string') return say('', 'info', h('p', null, body))
    try {
      const answer = await call('POST', '/api/v1/standing-grants/preview', body)
      if (mine !== round) return
      if (!answer.ok) return say('bad', 'warn', h('p', null, answer.body?.detail || `The server answered ${answer.status}.`))
      say(answer.body.rejected ? 'warn' : '', answer.body.rejected ? 'warn' : 'info', told(answer.body))
      good = body
      send.disabled = false
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      if (mine === round) say('warn', 'warn', h('p', null, 'The server could not be reached, so it is not known what this would let through.'))
    }
  }

  look.append(icon('info'), h('div', null, h('p.quiet', null, 'Looking at the last 30 days…')))
  preview()
  return h('section.panel.editor.remember', { 'aria-label': 'Approve and remember' },
    h('div.panel-head', null, h('h3', null, 'Approve and remember')),
    h('p.quiet', null, 'What is alike is then approved without asking. It is listed, and can be revoked, under ', h('a', { href: '/grants' }, 'standing grants'), '.'),
    h('div.fields', null, fields.map(([, field]) => field.row),
      h('div.field', null, h('label', { for: uses }, 'How often'), often, h('p.hint', null, 'Nothing: as often as comes until it expires.')),
      h('div.field', null, h('label', { for: long }, 'For how long'), until)),
    h('div.only', null, only.map(([, , box, words]) => h('label.check', null, box, h('span.wrap', null, words)))),
    look, h('div.panel-actions', null, send, h('button', { type: 'button', onclick: close }, 'Back')))
}
