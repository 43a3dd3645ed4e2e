// What differs between the proposed arguments and the edited ones.

import { h } from './dom.js'
import { isObject, isNumber, digits, pretty, same } from './json.js'
import { visible } from './visible.js'

const join = (path, key) => typeof key === 'number' ? `${path}[${key}]` : path ? `${path}.${key}` : key

/** [{path, before, after}], where undefined means: not there. */
export function diff(before, after, path = '') {
  if (same(before, after)) return []
  const keys = isObject(before) && isObject(after) ? [...new Set([...Object.keys(before), ...Object.keys(after)])]
    : Array.isArray(before) && Array.isArray(after) ? [...Array(Math.max(before.length, after.length)).keys()] : null
  if (!keys) return [{ path, before, after }]
  const own = (o, k) => Object.hasOwn(o, k) ? o[k] : undefined
  return keys.flatMap(key => diff(own(before, key), own(after, key), join(path, key)))
}

const text = v => v === undefined ? '' : typeof v === 'string' ? v : isNumber(v) ? digits(v) : pretty(v)

/** Lines as [sign, line], by the longest common subsequence. */
function lines(a, b) {
  const x = a.split('\n'), y = b.split('\n')
  if (x.length * y.length > 250000) return [...x.map(l => ['-', l]), ...y.map(l => ['+', l])]
  const t = Array.from({ length: x.length + 1 }, () => new Uint16Array(y.length + 1))
  for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--)
    t[i][j] = x[i] === y[j] ? t[i + 1][j + 1] + 1 : Math.max(t[i + 1][j], t[i][j + 1])
  const out = []
  let i = 0, j = 0
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) { out.push([' ', x[i++]]); j++ }
    else if (j >= y.length || (i < x.length && t[i + 1][j] >= t[i][j + 1])) out.push(['-', x[i++]])
    else out.push(['+', y[j++]])
  }
  return out
}

export function diffView(before, after) {
  const changes = diff(before, after)
  if (!changes.length) return h('p.quiet', null, 'Nothing changed.')
  return h('dl.diff', null, changes.map(({ path, before, after }) => {
    const a = text(before), b = text(after)
    const long = (a + b).includes('\n')
    return [h('dt', null, visible(path)), h('dd', null, long
      ? h('pre', null, lines(a, b).map(([sign, line]) => h(sign === '-' ? 'del' : sign === '+' ? 'ins' : 'span', null, sign + ' ', visible(line), '\n')))
      : [before !== undefined && h('del', null, visible(a || 'empty')), before === undefined && h('span.tag', null, 'added'), ' ',
        after !== undefined ? h('ins', null, visible(b || 'empty')) : h('span.tag', null, 'removed')])]
  }))
}
