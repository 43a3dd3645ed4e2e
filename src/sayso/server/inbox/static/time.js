// Relative times that keep themselves true; the exact one is in the tooltip.

import { h } from './dom.js'
import { digits } from './json.js'

let skew = 0

/** The server's clock decides; a phone's may be minutes off. */
export function setClock(header) {
  const drift = Date.parse(header) - Date.now()
  if (Math.abs(drift) > 3000) skew = drift
  else if (drift === drift) skew = 0
}

export const now = () => Date.now() + skew
export const exact = iso => new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' })
const two = n => String(n).padStart(2, '0')

export function span(seconds) {
  const s = Math.max(0, Math.round(typeof seconds === 'number' ? seconds : digits(seconds)))   // 900.0 keeps its digits
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  const [big, small, one, other] = s < 86400 ? [3600, 60, 'h', 'min'] : [86400, 3600, 'd', 'h']
  const rest = Math.floor(s % big / small)
  return `${Math.floor(s / big)} ${one}${rest ? ` ${rest} ${other}` : ''}`
}

export function ago(iso) {
  const s = (now() - Date.parse(iso)) / 1000
  if (s < 5) return 'just now'
  if (s < 86400) return s < 3600 ? `${span(s)} ago` : `${Math.floor(s / 3600)} h ago`
  return new Date(iso).toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: s > 2e7 ? 'numeric' : undefined })
}

export function left(iso) {
  const s = Math.max(0, Math.ceil((Date.parse(iso) - now()) / 1000))
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`
  return span(s)
}

const MODES = { left, ago, at: iso => new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) }
export const secondsLeft = request => request.deadline_at ? (Date.parse(request.deadline_at) - now()) / 1000 : Infinity

export function time(iso, mode = 'ago') {
  return h('time', { datetime: iso, title: exact(iso), data: { mode } }, MODES[mode](iso))
}

function refresh() {
  for (const el of document.querySelectorAll('time[data-mode]')) {
    const text = MODES[el.dataset.mode](el.dateTime)
    if (el.textContent !== text) el.textContent = text
    if (el.dataset.mode === 'left') {
      const s = (Date.parse(el.dateTime) - now()) / 1000
      el.dataset.near = s < 60 ? 'now' : s < 120 ? 'soon' : ''
    }
  }
  for (const el of document.querySelectorAll('.fuse[data-from]')) {
    const from = Date.parse(el.dataset.from), to = Date.parse(el.dataset.to)
    el.firstElementChild.style.transform = `scaleX(${Math.max(0, Math.min(1, (to - now()) / (to - from)))})`
  }
}

export function startClock(each) {
  for (const el of document.querySelectorAll('time:not([title])')) el.title = exact(el.dateTime)
  refresh()
  setInterval(() => { refresh(); each?.() }, 1000)
}
export { refresh as refreshTimes }
