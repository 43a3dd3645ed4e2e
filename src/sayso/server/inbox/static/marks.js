// Risk, priority, votes and result, each as a shape, a word and a colour.

import { h, icon } from './dom.js'

export const riskMark = risk => risk ? h(`span.risk.${risk}`, null, h('i.shape', { 'aria-hidden': 'true' }), `${risk} risk`) : null
export const priorityMark = p => p && p !== 'normal' ? h(`span.priority.${p}`, null, p === 'urgent' ? p : `${p} priority`) : null

/** [how many have approved the same, of how many]; null where one is enough. */
export function counted({ rule, votes }) {
  if (!rule || rule.approvals < 2) return null
  const said = {}
  for (const v of votes) if (v.approves) { const key = JSON.stringify([v.digest, v.option, v.content]); said[key] = (said[key] || 0) + 1 }
  return [Math.max(0, ...Object.values(said)), rule.approvals]
}
export const voteMark = request => { const n = counted(request); return n && h('span.kind.count-mark', null, `${n[0]} of ${n[1]}`, h('span.unseen', null, ' approved')) }

export const STOPPED = { everything: 'Everything', agent: 'The agent', client: 'The client', session: 'The session' }

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
