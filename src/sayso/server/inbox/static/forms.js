// A form from a flat JSON Schema.

import { h, uid, plural } from './dom.js'
import { parse, isNumber, same, digits } from './json.js'
import { line, spelled, visible } from './visible.js'

const TYPES = { email: 'email', uri: 'url', date: 'date', 'date-time': 'datetime-local' }
const choices = s => s.oneOf?.map(o => [o.const, o.title ?? String(o.const)]) || s.anyOf?.map(o => [o.const, o.title ?? String(o.const)])
  || s.enum?.map((v, i) => [v, s.enumNames?.[i] ?? String(v)])
const shown = v => isNumber(v) ? digits(v) : String(v)
const localTime = text => { const d = new Date(text); return isNaN(d) ? '' : new Date(d - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16) }

function hint(s) {
  const parts = []
  if (s.minLength && s.maxLength) parts.push(`${s.minLength} to ${s.maxLength} characters`)
  else if (s.minLength) parts.push(`at least ${plural(s.minLength, 'character')}`)
  else if (s.maxLength) parts.push(`at most ${plural(s.maxLength, 'character')}`)
  if (s.minimum != null && s.maximum != null) parts.push(`${shown(s.minimum)} to ${shown(s.maximum)}`)
  else if (s.minimum != null) parts.push(`${shown(s.minimum)} or more`)
  else if (s.maximum != null) parts.push(`${shown(s.maximum)} or less`)
  return parts.join(', ')
}

/** One property: {row, read() -> value or undefined, problem() -> text}. */
function property(name, s, required) {
  const id = uid('field'), title = s.title || name, list = choices(s)
  const error = h('p.field-error', { id: `${id}-error` })
  const described = { 'aria-describedby': `${id}-hint ${id}-error` }
  const text = [hint(s), s.description].filter(Boolean)
  const note = h('p.hint', { id: `${id}-hint`, dir: 'auto' }, visible(text.reverse().join(' · ')))
  const head = [line(title), required ? h('span.must', null, 'needed') : h('span.tag', null, 'optional')]
  const items = s.type === 'array' ? choices(s.items || {}) : null
  let control, read, invalid = () => ''

  if (items || (list && list.length <= 5)) {
    const many = !!items, defaults = [].concat(s.default ?? [])
    const boxes = (items || list).map(([v, word]) => [v, h('input', { type: many ? 'checkbox' : 'radio', name: id, checked: defaults.some(d => same(d, v)) }), word])
    control = h('fieldset.choices', described, h('legend', null, head), boxes.map(([, box, word]) => h('label.check', null, box, h('span', { dir: 'auto' }, visible(word)))))
    read = () => { const on = boxes.filter(([, box]) => box.checked).map(([v]) => v); return many ? (on.length || required ? on : undefined) : on[0] }
    if (many) invalid = v => v && s.minItems > v.length ? `Choose at least ${s.minItems}.` : v && s.maxItems < v.length ? `Choose at most ${s.maxItems}.` : required && !v?.length ? 'Choose at least one.' : ''
    return finish(control, [])
  }
  if (s.type === 'boolean') {
    control = h('input', { type: 'checkbox', id, checked: s.default === true, ...described })
    read = () => control.checked
    return finish(h('label.check.alone', null, control, h('span', null, line(title))), [])
  }
  const label = h('label', { for: id }, head)
  if (list) {
    control = h('select', { id, ...described }, h('option', { value: '' }, 'Choose…'), list.map(([v, word], i) => h('option', { value: String(i), selected: s.default !== undefined && same(v, s.default) }, spelled(word))))
    read = () => control.value === '' ? undefined : list[control.value][0]
  } else if (s.type === 'number' || s.type === 'integer') {
    control = h('input', { id, inputmode: s.type === 'integer' ? 'numeric' : 'decimal', autocomplete: 'off', value: s.default == null ? '' : shown(s.default), ...described })
    read = () => { const t = control.value.trim(); if (!t) return undefined; try { const v = parse(t); return isNumber(v) ? v : NaN } catch { return NaN } }
    invalid = v => {
      if (v === undefined) return ''
      const n = isNumber(v) ? Number(digits(v)) : NaN
      if (n !== n) return 'Must be a number, written like 12.5.'
      if (s.type === 'integer' && !Number.isInteger(n)) return 'Must be a whole number.'
      if (s.minimum != null && n < Number(shown(s.minimum))) return `Must be at least ${shown(s.minimum)}.`
      if (s.maximum != null && n > Number(shown(s.maximum))) return `Must be at most ${shown(s.maximum)}.`
      return ''
    }
  } else {
    const long = !s.format && (s.maxLength > 120 || (s.default || '').length > 80)
    const start = s.format === 'date-time' && s.default ? localTime(s.default) : s.default ?? ''
    control = h(long ? 'textarea' : 'input', { id, type: long ? null : TYPES[s.format] || 'text', rows: long ? 4 : null, dir: 'auto', value: start, ...described })
    read = () => { const t = control.value; return t === '' ? undefined : s.format === 'date-time' ? new Date(t).toISOString() : t }
    invalid = v => {
      if (v === undefined) return control.validity.badInput ? 'Is not complete.' : ''
      if (s.format && !control.validity.valid) return s.format === 'email' ? 'Must be an e-mail address.' : s.format === 'uri' ? 'Must be a full address, like https://example.com.' : 'Is not complete.'
      const length = [...v].length
      if (s.minLength > length) return `Must have at least ${plural(s.minLength, 'character')}.`
      if (s.maxLength < length) return `Must have at most ${plural(s.maxLength, 'character')}.`
      return ''
    }
  }
  return finish(control, [label])

  function finish(body, before) {
    const row = h('div.field', null, before, text.length ? note : (note.hidden = true, note), body, error)
    const target = control.matches('fieldset') ? control.querySelector('input') : control
    const problem = () => {
      const v = read()
      const message = required && v === undefined ? 'Needed.' : invalid(v)
      error.textContent = message
      control.setAttribute('aria-invalid', String(!!message))
      return message
    }
    row.addEventListener('change', problem)
    return { name, row, read, problem, target }
  }
}

/** {el, read() -> object or null when something is wrong (then the first wrong field has the focus)}. */
export function schemaForm(schema) {
  const required = new Set(schema.required || [])
  const fields = Object.entries(schema.properties || {}).map(([name, s]) => property(name, s, required.has(name)))
  const all = () => Object.fromEntries(fields.map(f => [f.name, f.read()]).filter(([, v]) => v !== undefined))
  return {
    el: h('div.fields', null, fields.map(f => f.row)),
    read() {
      const bad = fields.filter(f => f.problem())
      if (bad.length) { bad[0].target.focus(); return null }
      return all()
    },
    peek() { try { return all() } catch { return {} } },
  }
}
