// Texts of others, in places that need no card. A plain text is shown as it is; for any other what marks it is
// fetched, and until it is there the text stands spelled out, so that nothing deceives meanwhile.

import { h } from './dom.js'

const BLANKS = 80
// ASCII and the letters of Latin-1: none of them deceives, whatever stands beside it.
const PLAIN = /^[\x20-\x7e\n\t\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*$/
const BLANK = new RegExp(`[ \\t\\n]{${BLANKS},}`), PUNYCODE = /xn--/i, BREAK = /[\n\t]/

/** Whether a text holds nothing that could deceive, so that it needs no second look. */
export const isPlain = (text, { line = false } = {}) => PLAIN.test(text) && !PUNYCODE.test(text) && !BLANK.test(text) && !(line && BREAK.test(text))

let marks = null
const waiting = new Map()   // what stands spelled out, with how it is to be marked
/** What marks all the other texts; what stands spelled out is drawn anew by it, also if it came only now. */
export const fetchMarks = () => import('./visible.js').then(module => {
  marks = module
  for (const [el, [text, options]] of waiting) el.replaceWith(module.visible(text, options))
  waiting.clear()
  return module
})

const spelledOut = text => JSON.stringify(text).slice(1, -1).replace(/[^\x20-\x7e]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))

export function visible(value, options) {
  const text = String(value)
  if (isPlain(text, options)) return text
  if (marks) return marks.visible(text, options)
  const meanwhile = h('span', null, spelledOut(text))
  waiting.set(meanwhile, [text, options])
  fetchMarks().catch(() => { for (const el of waiting.keys()) if (!el.isConnected) waiting.delete(el) })
  return meanwhile
}
/** A text to be read out, in one line of plain characters. */
export const spelled = async text => isPlain(text, { line: true }) ? text : fetchMarks().then(module => module.spelled(text), () => spelledOut(text))
export const line = text => visible(text, { line: true })
