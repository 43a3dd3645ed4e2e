// The list of what waits. A thousand rows are kept by id and moved, not drawn anew.

import { h, $, plural, apart } from './dom.js'
import { phrase, gists } from './headline.js'
import { line, visible } from './fence.js'
import { time } from './time.js'
import { riskMark, priorityMark, voteMark } from './marks.js'
import { state, pendingCount } from './store.js'

const rows = new Map()
const PARKED = 'What nobody answered in time, and what goes on waiting all the same, is listed here.'

export function rowView(request) {
  return h('li.row', { data: { id: request.id } }, h('a', { href: `/requests/${request.id}`, data: { open: request.id } },
    h('span.row-what', { dir: 'auto' }, what(request)),
    h('span.row-left', null, request.deadline_at ? time(request.deadline_at, 'left') : time(request.created_at)),
    h('span.row-marks', null, riskMark(request.action?.risk_class), priorityMark(request.priority), request.kind !== 'approval' && h('span.kind', null, request.kind === 'input' ? 'question' : request.kind),
      voteMark(request), request.reminders > 0 && h('span.kind', null, 'reminded'), request.escalated_at && h('span.kind', null, 'escalated'), request.parked_at && h('span.kind', null, 'parked'),
      state.unsent.has(request.id) && h('span.kind.kept', null, 'not sent'),
      h('span.row-who', null, apart([request.client_id || 'agent', request.session_id].filter(Boolean), line)))))
}

function what(request) {
  if (!request.action) return ['“', h('bdi', null, visible(request.message)), '”']
  const told = gists(request.action)
  return [h('b', null, h('bdi', null, line(phrase(request.action.tool_name)))), told.length > 0 && [' · ', apart(told, visible)]]
}

function row(request) {
  const stamp = state.unsent.has(request.id)
  let entry = rows.get(request.id)
  if (!entry || entry.request !== request || entry.stamp !== stamp) {
    const el = rowView(request)
    entry?.el.replaceWith(el)
    rows.set(request.id, entry = { request, el, stamp })
  }
  return entry.el
}

export function drawQueue() {
  const list = $('#rows'), total = pendingCount(), shown = state.order.length
  const keep = new Set(state.order)
  for (const [id, entry] of rows) if (!keep.has(id)) { entry.el.remove(); rows.delete(id) }
  const drawn = state.order.map(id => row(state.requests.get(id)))
  for (const el of [...list.children]) if (!rows.has(el.dataset.id) || rows.get(el.dataset.id).el !== el) el.remove()
  let at = list.firstElementChild
  for (const el of drawn) {
    const { id } = el.dataset
    const open = id === state.openId
    if (el.classList.contains('open') !== open) {
      el.classList.toggle('open', open)
      open ? el.firstElementChild.setAttribute('aria-current', 'true') : el.firstElementChild.removeAttribute('aria-current')
    }
    el.classList.toggle('fresh', state.fresh.has(id))
    if (el === at) at = at.nextElementSibling
    else list.insertBefore(el, at)
  }
  $('#count').textContent = total ? String(total) : ''
  $('#count').title = plural(total, 'request') + ' waiting'
  $('#empty').hidden = shown > 0 || !state.loaded
  $('#skeleton').hidden = state.loaded || shown > 0
  for (const tab of $('#tabs').children) {
    if ((tab.search !== '') === state.parked) tab.setAttribute('aria-current', 'true')
    else tab.removeAttribute('aria-current')
  }
  const hidden = total && (state.filter || state.parked)
  $('#empty-title').textContent = !hidden ? state.parked ? 'Nothing is parked.' : 'Nothing needs you.' : state.filter ? 'Nothing matches.' : 'Nothing is parked.'
  $('#empty-text').textContent = hidden && state.filter ? `${plural(total, 'request')} ${total === 1 ? 'waits' : 'wait'} behind this filter.` : state.parked ? PARKED : 'A request shows up here the moment an agent asks.'
  document.title = `${total ? `(${total}) ` : ''}Inbox · Sayso`
}

export function reveal(id) { const el = rows.get(id)?.el; el?.scrollIntoView({ block: 'nearest' }); return el }
