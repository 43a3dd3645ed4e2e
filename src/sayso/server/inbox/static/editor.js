// Editing the arguments: field by field or as JSON, with the difference always in sight.

import { h, uid, plural } from './dom.js'
import { isObject, isNumber, digits, pretty, parse, same } from './json.js'
import { diff, diffView } from './diff.js'
import { visible, warningNote } from './visible.js'

const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\da-f]{4}))*"/iy, PLAIN = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null)(?![\w.])/iy

/** Where a text stops being JSON: "Line 2, column 7"; browsers do not always tell. */
function breaksAt(text) {
  let at = 0
  const skip = () => { while (' \n\r\t'.includes(text[at] ?? '-')) at++ }
  const eat = pattern => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (!found) throw at
    at += found[0].length
    skip()
  }
  const several = (end, item) => {
    at++
    skip()
    if (!end.test(text[at] ?? '')) for (item(); text[at] === ','; item()) eat(/,/y)
    eat(new RegExp(end, 'y'))
  }
  const one = () => {
    if (text[at] === '{') several(/\}/, () => { eat(STRING); eat(/:/y); one() })
    else if (text[at] === '[') several(/\]/, one)
    else eat(text[at] === '"' ? STRING : PLAIN)
  }
  try { skip(); one() } catch { /* stays where it broke */ }
  const before = text.slice(0, at).split('\n')
  return `Line ${before.length}, column ${before.at(-1).length + 1}`
}

const copy = v => parse(JSON.stringify(v))
const kind = (v, schema) => {
  const t = Array.isArray(schema?.type) ? schema.type.find(x => x !== 'null') : schema?.type
  if (schema?.enum) return 'enum'
  if (v === null || v === undefined) return t && t !== 'object' && t !== 'array' ? t : 'json'
  return typeof v === 'string' ? 'string' : isNumber(v) ? 'number' : typeof v === 'boolean' ? 'boolean' : 'json'
}

/** What is wrong with a value by its JSON Schema (the common keywords), or ''. Patterns are left to the server: here an agent's could hang the page. */
export function check(v, schema, missing = 'Needed.') {
  if (!schema || typeof schema !== 'object') return ''
  if (v === undefined) return missing
  const types = [].concat(schema.type ?? [])
  const is = { string: typeof v === 'string', number: isNumber(v), integer: isNumber(v) && /^-?\d+(\.0+)?$/.test(digits(v)), boolean: typeof v === 'boolean', null: v === null, array: Array.isArray(v), object: isObject(v) }
  if (types.length && !types.some(t => is[t])) return `Must be ${types.join(' or ')}.`
  if (schema.enum && !schema.enum.some(x => same(x, v))) return `Must be one of ${schema.enum.map(x => JSON.stringify(x)).join(', ')}.`
  if (is.number) {
    const n = Number(digits(v)), limit = key => isNumber(schema[key]) ? Number(digits(schema[key])) : NaN
    const tell = (words, key) => `Must be ${words} ${digits(schema[key])}.`
    if (n < limit('minimum')) return tell('at least', 'minimum')
    if (n > limit('maximum')) return tell('at most', 'maximum')
    if (n <= limit('exclusiveMinimum')) return tell('more than', 'exclusiveMinimum')
    if (n >= limit('exclusiveMaximum')) return tell('less than', 'exclusiveMaximum')
    const parts = n / limit('multipleOf')
    if (Math.abs(parts - Math.round(parts)) > 1e-9 * Math.max(1, Math.abs(parts))) return tell('a multiple of', 'multipleOf')
  }
  if (is.string) {
    const length = [...v].length
    if (schema.minLength && length < schema.minLength) return `Must have at least ${plural(schema.minLength, 'character')}.`
    if (schema.maxLength != null && length > schema.maxLength) return `Must have at most ${plural(schema.maxLength, 'character')}.`
  }
  if (is.object) {
    for (const key of schema.required || []) if (!Object.hasOwn(v, key)) return `${key} is missing.`
    for (const [key, inner] of Object.entries(schema.properties || {})) {
      if (Object.hasOwn(v, key)) { const wrong = check(v[key], inner); if (wrong) return `${key}: ${wrong}` }
    }
    if (schema.additionalProperties === false) for (const key of Object.keys(v)) if (!Object.hasOwn(schema.properties || {}, key)) return `${key} is not an argument of this tool.`
  }
  return ''
}

const place = text => `${breaksAt(text)}: this is not JSON.`

/** `done(args)` is called with the edited arguments; `close()` leaves without deciding. The element's `args()` are the edited ones, null while nothing differs. */
export function editor(action, { done, close }) {
  const proposed = action.tool_args, schema = action.args_schema
  const known = isObject(schema?.properties) ? schema.properties : {}
  const needed = new Set(Array.isArray(schema?.required) ? schema.required : [])
  const keys = [...new Set([...Object.keys(proposed), ...Object.keys(known)])]
  let edited = copy(proposed), raw = false
  const wrong = new Map()
  const body = h('div.fields'), changes = h('div.changes', { 'aria-live': 'polite' })
  const verdict = h('p.field-error', { role: 'alert' })
  const send = h('button.primary', { type: 'button', disabled: true, onclick: () => done(edited) }, 'Approve the edited ones')
  const mode = h('button.link', { type: 'button', onclick() { raw = !raw; wrong.clear(); draw(); update() } })

  function update() {
    const count = diff(proposed, edited).length
    const problem = wrong.size ? '' : check(edited, schema)
    changes.replaceChildren(h('h4', null, count ? `${plural(count, 'change')}: proposed → edited` : 'No changes yet'), count ? diffView(proposed, edited) : h('p.quiet', null, 'Change a value above. What differs shows here before anything is sent.'))
    verdict.textContent = problem
    send.disabled = !count || wrong.size > 0 || !!problem
  }

  function field(key) {
    const id = uid('arg'), there = Object.hasOwn(proposed, key), original = there ? proposed[key] : undefined, own = Object.hasOwn(known, key) ? known[key] : undefined, type = kind(original, own)
    const error = h('p.field-error', { id: `${id}-error` })
    const fail = message => {
      error.textContent = message
      if (message) wrong.set(key, message); else wrong.delete(key)
      input.setAttribute('aria-invalid', String(!!message))
      update()
    }
    const set = v => { edited[key] = v; mark(); fail(check(v, own)) }
    // an optional one may be left out
    const optional = own !== undefined && !needed.has(key)
    const leaveOut = () => { delete edited[key]; mark(); fail(optional || !there ? '' : 'Needed.') }
    const blank = (optional || !there) && h('option', { value: '', selected: !Object.hasOwn(edited, key) }, 'left out')
    const chosen = list => () => { const at = input.selectedIndex - (blank ? 1 : 0); if (at < 0) leaveOut(); else set(list[at]) }
    const unseen = h('div')   // a text field shows no hidden characters: they are told of below it
    const mark = () => {
      row.classList.toggle('changed', !same(edited[key], original))
      unseen.replaceChildren(typeof edited[key] === 'string' ? warningNote(edited[key]) || '' : '')
    }
    const shared = { id, 'aria-describedby': `${id}-error`, dir: 'auto', autocomplete: 'off', spellcheck: 'false' }
    let input
    if (type === 'enum') {
      input = h('select', { ...shared, onchange: chosen(own.enum) }, blank, own.enum.map(x => h('option', { selected: same(x, edited[key]) }, String(isNumber(x) ? digits(x) : x))))
    } else if (type === 'boolean') {
      input = h('select', { ...shared, onchange: chosen([true, false]) }, blank, ['true', 'false'].map(x => h('option', { selected: String(edited[key]) === x }, x)))
    } else if (type === 'number' || type === 'integer') {
      input = h('input', { ...shared, inputmode: 'decimal', value: edited[key] == null ? '' : digits(edited[key]), oninput() {
        if (blank && !input.value.trim()) return leaveOut()
        try { const v = parse(input.value.trim()); if (!isNumber(v)) throw 0; set(v) } catch { fail('Must be a number, written like 12.5.') }
      } })
    } else if (type === 'string') {
      const text = edited[key] ?? ''
      const long = text.includes('\n') || text.length > 60
      input = h(long ? 'textarea' : 'input', { ...shared, rows: long ? Math.min(14, Math.max(3, text.split('\n').length + 1, Math.ceil(text.length / 60))) : null, value: text, oninput: () => !there && !input.value ? leaveOut() : set(input.value) })
    } else {
      const text = Object.hasOwn(edited, key) ? pretty(edited[key]) : ''
      input = h('textarea', { ...shared, class: 'mono', rows: Math.min(14, text.split('\n').length + 1), value: text, oninput() {
        if (blank && !input.value.trim()) return leaveOut()
        try { set(parse(input.value)) } catch { fail(place(input.value)) }
      } })
    }
    const row = h('div.field', null, h('label', { for: id }, visible(key), !there && h('span.tag', null, needed.has(key) ? 'needed' : 'left out'), type === 'json' && h('span.tag', null, 'JSON'), h('span.tag.edited', null, 'edited')), own?.description && h('p.hint', { dir: 'auto' }, visible(own.description)), input, unseen, error)
    mark()
    return row
  }

  function draw() {
    mode.textContent = raw ? 'Edit field by field' : 'Edit as JSON'
    if (!raw) return body.replaceChildren(...keys.map(field), Object.keys(edited).some(k => !keys.includes(k)) ? h('p.hint', null, 'Arguments you added are in the JSON view.') : '')
    const id = uid('json'), error = h('p.field-error', { id: `${id}-error` })
    const text = pretty(edited)
    const input = h('textarea.mono', { id, rows: Math.min(24, text.split('\n').length + 2), spellcheck: 'false', 'aria-describedby': `${id}-error`, value: text, oninput() {
      let message = ''
      try {
        const v = parse(input.value)
        if (isObject(v)) edited = v; else message = 'Must be an object of arguments: { … }.'
      } catch { message = place(input.value) }
      error.textContent = message
      input.setAttribute('aria-invalid', String(!!message))
      if (message) wrong.set('', message); else wrong.delete('')
      update()
    } })
    body.replaceChildren(h('div.field.whole', null, h('label', { for: id }, 'Arguments as JSON'), input, error))
  }

  draw()
  update()
  return Object.assign(h('section.panel.editor', { 'aria-label': 'Approve with changes' },
    h('div.panel-head', null, h('h3', null, 'Approve with changes'), mode),
    body, changes, verdict,
    h('div.panel-actions', null, send, h('button', { type: 'button', onclick: close }, 'Back'))), { args: () => same(proposed, edited) ? null : edited })
}
