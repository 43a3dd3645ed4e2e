// Characters that lie to the eye, made visible in place. The same rules as visible.py.

import { h } from './dom.js'

const NAMES = {
  '\u061c': 'ALM', '\u200e': 'LRM', '\u200f': 'RLM', '\u202a': 'LRE', '\u202b': 'RLE', '\u202c': 'PDF',
  '\u202d': 'LRO', '\u202e': 'RLO', '\u2066': 'LRI', '\u2067': 'RLI', '\u2068': 'FSI', '\u2069': 'PDI',
  '\u200b': 'ZWSP', '\u200c': 'ZWNJ', '\u200d': 'ZWJ', '\u2060': 'WJ', '\ufeff': 'BOM', '\u00ad': 'SHY',
  '\u2028': 'LS', '\u2029': 'PS', '\u0000': 'NUL', '\u0008': 'BS', '\r': 'CR', '\u001b': 'ESC', '\u007f': 'DEL',
}
export const WHY = {
  bidi: 'turns the reading direction, so text can look different from what it is',
  hidden: 'cannot be seen, but it is there',
  control: 'is a control character, which programs may act on',
  space: 'looks like a space, but is another character',
  alike: 'looks like a Latin letter, but is another character',
  tags: 'carries hidden text, which people do not see and models read',
}
const SUSPECT = /([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])|([\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}])|([\0-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff\u{f0000}-\u{10ffff}])|([\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])|([\u{e0000}-\u{e007f}]+)/gu
const MOST = 500   // marks in one text; the rest is shown as one, so that nobody can drown the page in them
const TOO_MANY = 'not shown here, since the text has too many characters that deceive: see the raw request'
const KINDS = ['bidi', 'hidden', 'control', 'space', 'tags']
const ALIKE = new Map((
  'аa еe оo рp сc уy хx іi ѕs јj һh ԁd ӏl ԛq ԝw кk АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ІI ЅS ЈJ Ԛq Ԝw ' +
  'αa οo νv ρp ιi υu κk χx ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX').split(' ').map(pair => [...pair]))
const WORD = /[\p{L}\p{M}\p{N}_]+/gu
const FOREIGN = /[\p{Script=Cyrillic}\p{Script=Greek}]/u
const PLAIN = /^[\x20-\x7e\n\t]*$/

const code = c => 'U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')

/** The text as pieces: strings, and {at, kind, show, why} for what would deceive. */
export function scan(text) {
  if (PLAIN.test(text)) return [text]
  const marks = [], cjk = /[\u3040-\u9fff]/.test(text), ascii = /[A-Za-z]/.test(text)
  for (const m of text.matchAll(SUSPECT)) {
    const kind = KINDS[m.slice(1).findIndex(Boolean)]
    if (marks.length > MOST) break
    const c = m[0], before = text.slice(Math.max(0, m.index - 16), m.index), after = text.slice(m.index + c.length, m.index + c.length + 16)
    if (c === '\r' && after[0] === '\n') continue
    if (/[\u200c\u200d]/.test(c) && /[\p{Script=Arabic}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Sinhala}]\p{M}*$/u.test(before)) continue
    if (c === '\u200d' && /^\p{Extended_Pictographic}/u.test(after) && /[\p{Extended_Pictographic}\ufe0f\p{EMod}]$/u.test(before)) continue
    if (/[\ufe0e\ufe0f]/.test(c) && /[\p{Emoji}]$/u.test(before)) continue
    if (kind === 'space' && c === '\u3000' && cjk) continue
    if (kind === 'tags') {
      if (/\u{1f3f4}$/u.test(before)) continue
      const said = [...c].map(x => String.fromCharCode(x.codePointAt(0) - 0xe0000)).join('').replace(/[^\x20-\x7e]/g, '')
      marks.push({ at: m.index, size: c.length, kind, show: `hidden text: ${said || '(empty)'}`, why: WHY.tags })
    } else marks.push({ at: m.index, size: c.length, kind, show: NAMES[c] || code(c), why: `${code(c)} ${WHY[kind]}` })
  }
  const real = [...text].some(c => FOREIGN.test(c) && !ALIKE.has(c))
  const hidden = marks.length
  for (const m of text.matchAll(WORD)) {
    if (marks.length - hidden > MOST) break
    const word = m[0], chars = [...word]
    const latin = /\p{Script=Latin}/u.test(word)
    const fake = chars.filter(c => ALIKE.has(c)).length
    const whole = !latin && !real && fake === chars.length && fake > 1 && ascii
    let at = m.index
    for (const c of chars) {
      const twin = ALIKE.get(c)
      if (twin && (latin || whole)) marks.push({ at, size: c.length, kind: 'alike', show: c, why: `${code(c)} looks like the Latin letter ${twin}, but is ${/\p{Script=Greek}/u.test(c) ? 'Greek' : 'Cyrillic'}` })
      else if (!cjk && /[\uff10-\uff5a]|[\u{1d400}-\u{1d7ff}]/u.test(c)) marks.push({ at, size: c.length, kind: 'alike', show: c, why: `${code(c)} looks like ${c.normalize('NFKC')}, but is another character` })
      at += c.length
    }
  }
  if (!marks.length) return [text]
  marks.sort((a, b) => a.at - b.at)
  if (marks.length > MOST) {
    const at = marks[MOST].at, count = [...text.slice(at)].length
    marks.splice(MOST, Infinity, { at, size: text.length - at, kind: 'hidden', show: `${count} more characters`, why: TOO_MANY })
  }
  const out = []
  let from = 0
  for (const mark of marks) {
    if (mark.at > from) out.push(text.slice(from, mark.at))
    out.push(mark)
    from = mark.at + mark.size
  }
  if (from < text.length) out.push(text.slice(from))
  return out
}

export const suspicious = text => scan(text).some(piece => typeof piece !== 'string')

/** Nodes for a text, with a labelled mark in the place of each deceiving character. */
export function visible(text) {
  const out = document.createDocumentFragment()
  for (const piece of scan(String(text))) {
    if (typeof piece === 'string') out.append(piece)
    else out.append(h(`mark.vis.vis-${piece.kind}`, { title: piece.why }, piece.show))
  }
  return out
}

/** One sentence for each kind of deception in a text, or null. */
export function warning(text) {
  const seen = {}
  for (const piece of scan(String(text))) if (piece.kind) (seen[piece.kind] ||= []).push(piece)
  const lines = Object.entries(seen).map(([kind, list]) => {
    const which = [...new Set(list.map(p => kind === 'alike' ? p.why : p.show))]
    return kind === 'alike' ? which.slice(0, 4).join('; ') + (which.length > 4 ? `; and ${which.length - 4} more` : '')
      : `${list.length === 1 ? which[0] : `${list.length} × ${which.slice(0, 5).join(', ')}`}: ${WHY[kind]}`
  })
  return lines.length ? lines : null
}

export function warningNote(text) {
  const lines = warning(text)
  return lines && h('ul.vis-note', { 'aria-label': 'Deceiving characters' }, lines.map(line => h('li', null, line + '.')))
}
