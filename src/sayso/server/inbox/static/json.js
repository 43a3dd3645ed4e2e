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
