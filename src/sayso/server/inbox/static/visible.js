// Characters that lie to the eye, made visible in place. The same rules as visible/pieces.py.

import { h } from './dom.js'
import { isPlain } from './fence.js'
import * as T from './tables.js'

const MOST = 500   // marks in one text; beyond them what deceives is spelled out, so that nobody can drown the page in marks
const BLANKS = 80
const ESCAPE = '\\x1b\\[[0-?]{0,64}[ -\\/]{0,16}[@-~]|\\x9b[0-?]{0,64}[ -\\/]{0,16}[@-~]'
  + '|(?:\\x1b[\\]PX^_]|[\\x90\\x98\\x9d-\\x9f])[\\x20-\\x7e]{0,512}(?:\\x07|\\x1b\\\\|\\x9c)|\\x1b[ -\\/]{0,8}[0-~]'
const SUSPECT = new RegExp(`(?<escape>${ESCAPE})|(?<bidi>[${T.BIDI}])|(?<selectors>[${T.SELECTORS}]{2,})|(?<hidden>[${T.HIDDEN}])`
  + `|(?<control>[${T.CONTROL}])|(?<space>[${T.SPACE}])|(?<tags>[${T.TAGS}]+)|(?<stack>[${T.STACKED}]{5,})|(?<blank>[ \\t\\n]{${BLANKS},})`, 'gu')
const NOT_ASCII = /[^\0-\x7f]/
const of = (ranges, flags = 'u') => new RegExp(`[${ranges}]`, flags)
const FOREIGN = T.SCRIPTS.map(([, ranges]) => ranges).join('')
const SCRIPTS = T.SCRIPTS.map(([name, ranges]) => [name, of(ranges)])
const STRONG = [...T.ALIKE.keys()].filter(c => !T.WEAK.includes(c)).join('')
const WORD = new RegExp(`(?<!\\\\)[${T.LATIN}${FOREIGN}0-9_${T.STACKED}]+`, 'gu')
const IS_FOREIGN = of(FOREIGN, 'gu')
const IS_LATIN = of(T.LATIN, 'gu')
const IS_MIXED = new RegExp(`[${T.LATIN}][0-9_${T.STACKED}]*[${FOREIGN}]|[${FOREIGN}][0-9_${T.STACKED}]*[${T.LATIN}]`, 'u')
const IS_WHOLE = new RegExp(`^[${STRONG}]+$`, 'u')
const REAL = new RegExp(`(?![${STRONG}])[${FOREIGN}]`, 'u')
const CJK = of(T.CJK), RIGHT_TO_LEFT = of(T.RIGHT_TO_LEFT), JOINED = of(T.JOINED), UNSPACED = of(T.UNSPACED)
const WIDE = of(T.WIDE, 'gu'), ORDINARY = of(T.ORDINARY)
const CODE_MARK = /(?<=[A-Za-z0-9_)\]])\u01c3|\u01c3(?==)|(?<![\u0370-\u03ff\u1f00-\u1fff])\u037e/gu
const TOKEN = new RegExp(`[^\\s<>"'(){}\\[\\],;${T.CJK}]+`, 'gu')
const IS_ADDRESS = /@|:\/\/|\p{L}[.\u2024\u3002\uff0e\uff61]\p{L}/u
const LABEL = /[\p{L}\p{N}]+/gu
const PUNYCODE = /(?<![A-Za-z0-9-])[xX][nN]--[A-Za-z0-9-]{1,59}/g
const EMOJI = /^[\ufe0f\p{So}\p{Sk}]$/u

const code = c => 'U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')
const escaped = c => {
  const n = c.codePointAt(0)
  return n > 0xffff ? '\\U' + n.toString(16).padStart(8, '0') : n > 0xff ? '\\u' + n.toString(16).padStart(4, '0')
    : '\\x' + n.toString(16).padStart(2, '0')
}
const DECEIVING = new RegExp(`[${T.BIDI}${T.HIDDEN}${T.CONTROL}${T.SPACE}${T.TAGS}${T.WIDE}${T.STACKED}${[...T.ALIKE.keys(), ...T.LATIN_ALIKE.keys()].join('')}`
  + `${[...T.MARKS.keys()].join('')}]`, 'gu')
const script = c => SCRIPTS.find(([, letters]) => letters.test(c))?.[0] || 'another script'
const before = (text, at) => { const c = text.slice(Math.max(0, at - 2), at); return c ? [...c].at(-1) : '' }
const after = (text, at) => at < text.length ? String.fromCodePoint(text.codePointAt(at)) : ''
const said = raw => [...raw].map(c => String.fromCodePoint(Math.max(0, c.codePointAt(0) - 0xe0000))).join('').replace(/[^\x20-\x7e]/g, '')
const selected = raw => [...raw].map(c => { const n = c.codePointAt(0), byte = n < 0xe0000 ? n - 0xfe00 : n - 0xe00f0; return byte >= 0x20 && byte <= 0x7e ? String.fromCharCode(byte) : '?' }).join('')

/** Whether it does its ordinary work: line ends, emoji, joiners, flags. */
function harmless(text, start, raw, kind) {
  const left = before(text, start), right = after(text, start + raw.length)
  if (raw === '\r') return right === '\n'
  if (raw === '\u200c' || raw === '\u200d') { if (JOINED.test(left)) return true; if (raw === '\u200c') return false }
  if (raw === '\u200d') return EMOJI.test(left) && EMOJI.test(right)
  if (raw === '\u200b') return UNSPACED.test(left) && UNSPACED.test(right)
  if (raw === '\u200f' || raw === '\u061c') return RIGHT_TO_LEFT.test(left) || RIGHT_TO_LEFT.test(right)
  if (raw === '\ufe0e' || raw === '\ufe0f') return EMOJI.test(left) || (left !== '' && '#*0123456789©®'.includes(left))
  if (raw === '\u3000') return CJK.test(text)
  if (raw === '\u2800') return /[\u2801-\u28ff]/.test(left + right)
  if (kind === 'tags') return left === '\u{1f3f4}' && raw.endsWith('\u{e007f}') && T.FLAGS.includes(said(raw))
  if (kind === 'hidden' && (raw >= '\u{e0100}' && raw.length > 1 || raw >= '\ufe00' && raw <= '\ufe02')) return CJK.test(left)
  return /^[\u180b-\u180f]$/.test(raw) && /[\u1800-\u18af]/.test(left)
}

function suspect(raw, kind) {
  if (kind === 'tags' || kind === 'selectors') return { kind: 'tags', show: `hidden text: ${(kind === 'tags' ? said(raw) : selected(raw)) || '(empty)'}`, why: T.WHY.tags }
  if (kind === 'stack') { const show = `${[...raw].length} marks`; return { kind, show, why: `${show} ${T.WHY.stack}` } }
  if (kind === 'blank') {
    const breaks = raw.split('\n').length - 1, show = `${raw.length} blanks` + (breaks ? `, ${breaks} of them line breaks` : '')
    return { kind, show, why: `${show}: ${T.WHY.blank}` }
  }
  if (kind === 'escape') return { kind, show: [...raw].map(c => /[\x20-\x7e]/.test(c) ? c : T.NAMES[c] || code(c)).join(''), why: `${code(raw)} ${T.WHY.escape}` }
  return { kind, show: T.NAMES[raw] || code(raw), why: `${code(raw)} ${T.WHY[kind]}` }
}

function* suspects(text) {
  for (const m of text.matchAll(SUSPECT)) {
    const kind = Object.keys(m.groups).find(name => m.groups[name] !== undefined)
    if (!harmless(text, m.index, m[0], kind)) yield { at: m.index, size: m[0].length, ...suspect(m[0], kind) }
  }
}

function* lines(text) {
  for (const m of text.matchAll(/[\n\t]/g)) yield { at: m.index, size: 1, kind: 'line', show: m[0] === '\n' ? '\u21b5' : 'TAB', why: `${code(m[0])} ${T.WHY.line}` }
}

const like = (at, c, plain) => ({ at, size: c.length, kind: 'alike', show: c, why: `${code(c)} looks like ${plain}, but is another character` })

function* foreign(word, at) {
  for (const c of word) {
    const twin = T.ALIKE.get(c)
    if (twin) yield { at, size: c.length, kind: 'alike', show: c, why: `${code(c)} looks like the ${/\d/.test(twin) ? 'digit' : 'Latin letter'} ${twin}, but is ${script(c)}` }
    at += c.length
  }
}

const twins = {}
function* intruders(word, at, name) {
  twins[name] ||= new Map([...T.ALIKE].reverse().filter(([c]) => script(c) === name).map(([c, twin]) => [twin, c]))
  for (const c of word) {
    const twin = twins[name].get(c)
    if (twin && /\p{L}/u.test(c)) yield { at, size: c.length, kind: 'alike', show: c, why: `${code(c)} looks like the ${name} letter ${twin}, but is Latin` }
    at += c.length
  }
}

function* mixed(text) {
  if (!IS_MIXED.test(text)) return
  for (const m of text.matchAll(WORD)) {
    if (!NOT_ASCII.test(m[0]) || !IS_MIXED.test(m[0])) continue
    const letters = m[0].match(IS_FOREIGN), latin = m[0].match(IS_LATIN).length
    yield* letters.length < Math.max(2, latin) || letters.every(c => T.ALIKE.has(c)) ? foreign(m[0], m.index) : intruders(m[0], m.index, script(letters[0]))
  }
}

function* whole(text) {
  const latin = /[A-Za-z]/.test(text) && !REAL.test(text)
  for (const m of text.matchAll(WORD)) {
    const word = m[0]
    if (!NOT_ASCII.test(word) || [...word].length < 2 || !IS_WHOLE.test(word)) continue
    if (latin || new Set([...word].map(script)).size > 1) yield* foreign(word, m.index)
  }
}

function* dressed(text) {
  if (!CJK.test(text)) for (const m of text.matchAll(WIDE)) yield like(m.index, m[0], m[0].normalize('NFKC'))
  for (const m of text.matchAll(CODE_MARK)) yield like(m.index, m[0], T.MARKS.get(m[0]))
}

function readAs(c, left, right) {
  if (T.LATIN_ALIKE.has(c)) return T.LATIN_ALIKE.get(c)
  if (T.MARKS.has(c)) return left && right && !NOT_ASCII.test(left + right) ? T.MARKS.get(c) : ''
  const plain = c.normalize('NFKC')
  return !NOT_ASCII.test(plain) && !ORDINARY.test(c) ? plain : ''
}

function* addresses(text) {
  for (const m of text.matchAll(TOKEN)) {
    const token = m[0]
    if (!NOT_ASCII.test(token) || !IS_ADDRESS.test(token) || !/[A-Za-z]/.test(token)) continue
    for (const label of token.matchAll(LABEL)) if (IS_WHOLE.test(label[0])) yield* foreign(label[0], m.index + label.index)
    let at = 0
    for (const c of token) {
      const plain = NOT_ASCII.test(c) && readAs(c, before(token, at), after(token, at + c.length))
      if (plain) yield like(m.index + at, c, plain)
      at += c.length
    }
  }
}

/** RFC 3492; null when it is none. */
function decoded(label) {
  const end = label.lastIndexOf('-'), out = end > 0 ? [...label.slice(0, end)] : []
  let n = 128, i = 0, bias = 72, at = end > 0 ? end + 1 : 0
  if (end === 0) at = 1
  while (at < label.length) {
    const old = i
    for (let w = 1, k = 36; ; k += 36) {
      const c = label.charCodeAt(at++), digit = c >= 48 && c < 58 ? c - 22 : c >= 65 && c < 91 ? c - 65 : c >= 97 && c < 123 ? c - 97 : 36
      if (digit >= 36) return null
      i += digit * w
      const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias
      if (digit < t) break
      w *= 36 - t
      if (i > 0x7fffffff) return null
    }
    let delta = old === 0 ? Math.floor((i - old) / 700) : (i - old) >> 1, k = 0
    delta += Math.floor(delta / (out.length + 1))
    for (; delta > 455; k += 36) delta = Math.floor(delta / 35)
    bias = k + Math.floor(36 * delta / (delta + 38))
    n += Math.floor(i / (out.length + 1))
    i %= out.length + 1
    if (n > 0x10ffff) return null
    out.splice(i++, 0, String.fromCodePoint(n))
  }
  return out.join('')
}

function* punycode(text) {
  for (const m of text.matchAll(PUNYCODE)) {
    const meant = decoded(m[0].slice(4))
    let why = 'is the code of a name in other letters, and cannot be read'
    if (meant && !/[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/u.test(meant)) {
      const plain = [...meant].map(c => T.ALIKE.get(c) || T.LATIN_ALIKE.get(c) || c).join('')
      why = `is the code of ${meant}${plain !== meant && !NOT_ASCII.test(plain) ? `, which looks like ${plain}` : ''}`
    }
    yield { at: m.index, size: m[0].length, kind: 'address', show: m[0], why: `${m[0]} ${why}` }
  }
}

function few(marks, found) {
  let count = 0
  for (const mark of marks) {
    if (!found.has(mark.at)) found.set(mark.at, mark)
    if (++count > MOST) break
  }
}

/** The text as pieces: strings, and {at, size, kind, show, why} for what would deceive. */
export function scan(text, { line = false } = {}) {
  if (isPlain(text, { line })) return [text]
  const found = new Map()
  few(suspects(text), found)
  if (line) few(lines(text), found)
  if (NOT_ASCII.test(text)) for (const rule of [mixed, whole, dressed, addresses]) few(rule(text), found)
  few(punycode(text), found)
  const out = []
  let from = 0, count = 0
  for (const mark of [...found.values()].sort((a, b) => a.at - b.at)) {
    if (mark.at < from) { count++; continue }
    if (mark.at > from) out.push(text.slice(from, mark.at))
    if (count++ >= MOST) {
      const rest = text.slice(mark.at)
      out.push({ at: mark.at, size: rest.length, kind: 'more', show: rest.replace(DECEIVING, escaped), why: `${[...rest].length} characters ${T.WHY.more}` })
      return out
    }
    out.push(mark)
    from = mark.at + mark.size
  }
  if (from < text.length) out.push(text.slice(from))
  return out
}

export const suspicious = text => scan(text).some(piece => typeof piece !== 'string')

/** Nodes for a text, with a labelled mark in the place of each deceiving character. */
export function visible(text, options) {
  const out = document.createDocumentFragment()
  for (const piece of scan(String(text), options)) {
    if (typeof piece === 'string') out.append(piece)
    else out.append(h(`mark.vis.vis-${piece.kind}`, { title: piece.why }, piece.show))
  }
  return out
}

/** A text for places that hold no marks, such as the options of a select: what deceives is spelled out. */
export const spelled = text => scan(String(text), { line: true }).map(piece => typeof piece === 'string' || piece.kind === 'more' ? piece.show || piece
  : piece.kind === 'alike' ? [...piece.show].map(escaped).join('') : `[${piece.show}]`).join('')

/** A text that stands where one line is meant. */
export const line = text => visible(text, { line: true })

/** One sentence for each kind of deception in a text, or null. */
export function warning(text) {
  const seen = {}
  for (const piece of scan(String(text))) if (piece.kind) (seen[piece.kind] ||= []).push(piece)
  const told = Object.entries(seen).map(([kind, list]) => {
    const whole = ['alike', 'address', 'stack', 'blank', 'more'].includes(kind), which = [...new Set(list.map(p => whole ? p.why : p.show))]
    return whole ? which.slice(0, 4).join('; ') + (which.length > 4 ? `; and ${which.length - 4} more` : '')
      : `${list.length === 1 ? which[0] : `${list.length} × ${which.slice(0, 5).join(', ')}`}: ${T.WHY[kind]}`
  })
  return told.length ? told : null
}

export function warningNote(text) {
  const told = warning(text)
  return told && h('ul.vis-note', { 'aria-label': 'Deceiving characters' }, told.map(text => h('li', null, text + '.')))
}
