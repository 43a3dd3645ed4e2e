// The pages around the inbox: relative times and keys.

import { startKeys } from './keys.js'
import { startClock } from './time.js'

const search = document.querySelector('input[type=search]')
startClock()
startKeys(key => {
  if (key !== '/' || !search) return false
  search.focus()
  search.select()
  return true
})
