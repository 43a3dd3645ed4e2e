// JSON as it was written: 12345678901234567890 and 12.50 keep their digits on the way in and out,
// because the person must see, and the agent must get, exactly what was asked.

const exact = typeof JSON.rawJSON === 'function'

export function parse(text) {
  if (!exact) return JSON.parse(text)
  return JSON.parse(text, (_, value, context) =>
    typeof value === 'number' && context?.source != null && String(value) !== context.source
      ? JSON.rawJSON(context.source) : value)
}

export const isNumber = v => typeof v === 'number' || (exact && JSON.isRawJSON(v))
export const isObject = v => v !== null && typeof v === 'object' && !Array.isArray(v) && !isNumber(v)
export const digits = v => typeof v === 'number' ? String(v) : v.rawJSON
export const pretty = v => JSON.stringify(v, null, 2)
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)

const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\da-f]{4}))*"/iy, PLAIN = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null)(?![\w.])/iy

/** Where a text stops being JSON: "Line 2, column 7"; browsers do not always tell. */
export function breaksAt(text) {
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
