// Arguments in full, each in a view that fits. Nothing is cut without a way to see the whole.

import { h, icon, plural } from './dom.js'
import { isObject, isNumber, digits, pretty, parse } from './json.js'
import { visible, warningNote } from './visible.js'

const LINES = 14, CHARS = 1200
const CODE_KEY = /(^|_)(sql|query|code|script|command|cmd|patch|diff|html|xml|yaml|regex|expression)$/i
const SQL = /^\s*(--.*\n\s*)*(select|insert|update|delete|with|create|alter|drop|truncate|grant|merge|begin)\b[\s\S]*\b(from|into|set|table|where|to|index|view|commit|on)\b/i
const SQL_WORD = /\b(select|from|where|and|or|not|in|insert|into|values|update|set|join|left|right|inner|outer|on|group|order|by|having|limit|as|with|case|when|then|else|end|is|null|begin|commit|returning|distinct|exists|between|like|create|index|view)\b|\b(delete|drop|truncate|alter|grant|revoke|cascade)\b|('(?:[^']|'')*')|(--.*)/gi
const DIFF = /^(diff --git|--- |\+\+\+ |@@ )/m

function clamp(view, text) {
  const count = text.split('\n').length
  if (count <= LINES && text.length <= CHARS) return view
  const id = `long-${Math.random().toString(36).slice(2, 8)}`
  view.id = id
  view.classList.add('clamped')
  const label = () => view.classList.contains('clamped') ? `Show all ${count > 1 ? plural(count, 'line') : plural(text.length, 'character')}` : 'Show less'
  const button = h('button.link', { type: 'button', 'aria-controls': id, 'aria-expanded': 'false', onclick() {
    view.classList.toggle('clamped')
    button.setAttribute('aria-expanded', String(!view.classList.contains('clamped')))
    button.textContent = label()
  } }, label())
  return [view, button]
}

function sql(text) {
  const pre = h('pre.code', { tabindex: '0' })
  let from = 0
  for (const m of text.matchAll(SQL_WORD)) {
    pre.append(visible(text.slice(from, m.index)), h(m[2] ? 'b.danger' : m[1] ? 'b' : m[3] ? 'span.str' : 'i', null, visible(m[0])))
    from = m.index + m[0].length
  }
  pre.append(visible(text.slice(from)))
  return pre
}

const patch = text => h('pre.code', { tabindex: '0' }, text.split('\n').map(line =>
  h(line.startsWith('+') ? 'ins' : line.startsWith('-') ? 'del' : line.startsWith('@@') ? 'i' : 'span', null, visible(line), '\n')))

function url(text) {
  let at
  try { at = new URL(text) } catch { return null }
  if (!/^https?:$/.test(at.protocol) || !text.startsWith(at.protocol + '//')) return null
  const authority = text.slice(at.protocol.length + 2).split(/[/?#]/, 1)[0]
  const userinfo = authority.includes('@') ? authority.slice(0, authority.lastIndexOf('@') + 1) : ''
  const start = at.protocol + '//' + userinfo, host = authority.slice(userinfo.length)
  if (text.includes('\\') || host.toLowerCase().replace(/:(80|443)$/, '') !== at.host) return [h('span.mono.url', null, visible(text)), h('span.vis-note', null, `A browser reads this as ${at.host}.`)]
  return h('span.mono.url', null, visible(start), h('b', null, visible(host)), visible(text.slice(start.length + host.length)),
    userinfo && h('span.vis-note', null, `The part before @ is a user name; the address is ${host}.`))
}

// A text that reads otherwise than it looks (a key given twice, odd escapes) is not shown as JSON.
const bare = text => text.replace(/\s+/g, '')

function string(text, key) {
  if (text === '') return h('span.quiet', null, 'empty text')
  const note = warningNote(text)
  const lead = /^[ \t]+|[ \t\n]+$/.test(text) && text.trim().length < 200 && !text.includes('\n')
  let view
  if (/^\s*[[{]/.test(text) && text.length < 200000) {
    try { const inner = parse(text); if (typeof inner === 'object' && bare(JSON.stringify(inner)) === bare(text)) return [h('p.quiet.as', null, 'JSON in a text'), value(inner, key, 1), note] } catch { /* plain text */ }
  }
  if (SQL.test(text) && (CODE_KEY.test(key) || /;\s*$|\n/.test(text))) view = clamp(sql(text), text)
  else if (DIFF.test(text) && text.includes('\n')) view = clamp(patch(text), text)
  else if (CODE_KEY.test(key)) view = clamp(h('pre.code', { tabindex: '0' }, visible(text)), text)
  else if (/^https?:\/\/\S+$/.test(text)) view = url(text)
  if (!view) {
    const prose = text.includes('\n') || text.length > 140
    view = prose ? clamp(h('div.prose', { dir: 'auto' }, visible(text)), text)
      : h(/^[\w.+\-/:@#~=]+$/.test(text) && /[\d_./:@\-]/.test(text) ? 'span.mono' : 'span', { dir: 'auto' }, visible(text))
  }
  return [view, lead && h('span.tag', null, 'spaces at the edge'), note]
}

function value(v, key = '', depth = 0) {
  if (v === null) return h('span.quiet.mono', null, 'null')
  if (typeof v === 'string') return string(v, key)
  if (isNumber(v)) return h('span.mono.num', null, digits(v))
  if (typeof v === 'boolean') return h('span.mono', null, String(v))
  if (depth > 4) { const text = pretty(v); return clamp(h('pre.code', { tabindex: '0' }, visible(text)), text) }
  if (Array.isArray(v)) {
    if (!v.length) return h('span.quiet', null, 'empty list')
    if (v.every(x => x === null || typeof x !== 'object' || isNumber(x)) && v.length <= 100) return h('ol.items', null, v.map(x => h('li', null, value(x, key, depth + 1))))
    const rows = v.map((x, i) => h('li', null, h('span.quiet.mono', null, String(i + 1)), h('div', null, value(x, key, depth + 1))))
    return many(h('ol.records', null, rows.slice(0, 20)), rows)
  }
  return Object.keys(v).length ? table(v, depth + 1) : h('span.quiet', null, 'empty object')
}

function many(list, rows) {
  if (rows.length <= 20) return list
  const button = h('button.link', { type: 'button', onclick() { list.append(...rows.slice(20)); button.remove() } }, `Show all ${rows.length} items`)
  return [list, button]
}

function table(object, depth) {
  return h(depth ? 'dl.args.nested' : 'dl.args', null, Object.entries(object).map(([key, v]) =>
    [h('dt', null, key ? visible(key) : h('span.quiet', null, 'no name'), warningNote(key)), h('dd', null, value(v, key, depth))]))
}

/** The table of an action's arguments, or of any object of an agent. */
export function argsView(object) {
  return Object.keys(object).length ? table(object, 0) : h('p.quiet', null, 'No arguments.')
}
/** A text that stands out: an address shows whose it is. */
export const shortView = text => (/^https?:\/\/\S+$/.test(text) && url(text)) || visible(text)
export { value as valueView }

export const rawView = v => { const text = pretty(v); return h('div.raw', null,
  h('button.ghost.copy', { type: 'button', onclick(e) { navigator.clipboard?.writeText(text).then(() => { e.target.textContent = 'Copied' }) } }, icon('copy'), 'Copy'),
  h('pre.code', { tabindex: '0' }, visible(text))) }
