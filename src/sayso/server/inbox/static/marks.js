// Risk, priority and result, each as a shape, a word and a colour.

import { h, icon } from './dom.js'

export const riskMark = risk => risk ? h(`span.risk.${risk}`, null, h('i.shape', { 'aria-hidden': 'true' }), `${risk} risk`) : null
export const priorityMark = p => p && p !== 'normal' ? h(`span.priority.${p}`, null, p === 'urgent' ? p : `${p} priority`) : null

const RESULT = {
  approved: ['good', 'check', 'Approved'], rejected: ['no', 'x', 'Rejected'], answered: ['info', 'reply', 'Answered'],
  expired: ['off', 'clock', 'Expired'], cancelled: ['off', 'minus', 'Cancelled'], pending: ['wait', 'clock', 'Waiting'],
}
const CHANNEL = { web: 'in the inbox', api: 'through the API', link: 'by a link', standing: 'by a remembered decision' }
export const through = channel => CHANNEL[channel] || `through ${channel}`

export function result(request) {
  const [tone, icon, word] = RESULT[request.status] || RESULT.pending
  const type = request.decision?.type
  return { tone, icon, word: type === 'edit' ? 'Approved with changes' : type === 'ignore' ? 'Ignored' : word, channel: through(request.decision?.channel) }
}
export const resultMark = request => { const r = result(request); return h(`span.result.${r.tone}`, null, icon(r.icon), r.word) }
