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
/** What marks all the other texts. */
export const fetchMarks = () => import('./visible.js').then(module => { marks = module; return module })

const spelledOut = text => JSON.stringify(text).slice(1, -1).replace(/[^\x20-\x7e]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))

export function visible(value, options) {
  const text = String(value)
  if (isPlain(text, options)) return text
  if (marks) return marks.visible(text, options)
  const meanwhile = h('span', null, spelledOut(text))
  fetchMarks().then(module => meanwhile.replaceWith(module.visible(text, options)), () => {})
  return meanwhile
}
export const line = text => visible(text, { line: true })
