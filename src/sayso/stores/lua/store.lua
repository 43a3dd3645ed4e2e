-- All that RedisStore keeps, and all that changes it. Redis runs one call at a time, and writes what a
-- call has changed into its file in one piece; but it takes nothing back when a call fails half-way. So
-- each operation looks first, and then does only what cannot fail.
--
-- KEYS[1] is the prefix of all keys. ARGV holds calls, one behind the other, each: the operation, what
-- it is told, as JSON, the number of records, and these, as JSON that is not looked into. The reply has
-- a result for each; a call that fails, fails alone. Names within keys are percent-encoded.
--
--   schema                          the number of this layout
--   request:ID                      "VERSION RECORD"
--   tenants                         names of those that have requests
--   requests:TENANT                 ids of all requests, sorted; ids are made in the order of time
--   pending:TENANT  closed:TENANT  session:TENANT:SESSION    the same, of some
--   deadlines                       ids of pending requests, by deadline
--   keys:TENANT                     idempotency key -> "ID FINGERPRINT"
--   event                           the number of the last event
--   events                          the log: entry N-0 is event N
--   job:ID                          "STATE ATTEMPT DUE RECORD"
--   jobs:TENANT                     ids of all jobs, sorted
--   dead:TENANT  webhook:TENANT:WEBHOOK    the same, of some
--   jobs_due  jobs_done             ids of jobs that are open, by when they are due; done, by when that was
--   webhooks:TENANT  sessions:TENANT       id -> record
--   logins  logins_end              hash of a token -> record; the hashes, by when they expire
--   logins_person                   hash of a token -> "TENANT:PERSON"
--   logins_of:TENANT:PERSON         hashes of tokens
--   record:KIND:ID                  hash: version, tenant, owner, handle, body
--   records:KIND  records_tenant:KIND:TENANT  records_owner:KIND:OWNER
--   records_both:KIND:TENANT:OWNER  ids of records, sorted
--   handles:KIND                    handle -> id
--   links                           names of used links, by when they expire
--   blocks                          number of a block of the ledger -> record
--   blocks_last                     numbers of blocks, by the number of their last event
--   agreed                          name -> the value that all processes have for it
--
-- Times are microseconds since 1970, UTC, as text: a number of Lua would do, its way to be written not.

local call = redis.call
local told  -- what the present call is told
local before_records  -- its first record is the argument behind this place

local function record_of(number)
  return ARGV[before_records + number]
end

local function named(...)
  return table.concat({KEYS[1], ...}, ':')
end

local function placed(index, moment, id)
  if moment then
    call('ZADD', named(index), moment, id)
  else
    call('ZREM', named(index), id)
  end
end

local function keep_job(job, record)
  local state = job.state
  call('SET', named('job', job.id), table.concat({state, job.attempt, job.due, record}, ' '))
  call('ZADD', named('jobs', job.tenant), 0, job.id)
  if job.webhook then
    call('ZADD', named('webhook', job.tenant, job.webhook), 0, job.id)
  end
  placed('jobs_due', (state == 'waiting' or state == 'running') and job.due, job.id)
  placed('jobs_done', state == 'done' and job.finished, job.id)
  placed('dead:' .. job.tenant, state == 'dead' and 0, job.id)
end

-- The state, attempt, due time and record of a job.
local function read_job(id)
  local stored = call('GET', named('job', id))
  if stored then
    return string.match(stored, '^(%a+) (%d+) (%S+) (.*)$')
  end
end

local function keep_request(request, record)
  local id, tenant = request.id, request.tenant
  call('SET', named('request', id), request.version .. ' ' .. record)
  if request.key then
    call('HSET', named('keys', tenant), request.key, id .. ' ' .. request.fingerprint)
  end
  call('ZADD', named('requests', tenant), 0, id)
  call('SADD', named('tenants'), tenant)
  if request.session then
    call('ZADD', named('session', tenant, request.session), 0, id)
  end
  placed('pending:' .. tenant, request.pending and 0, id)
  placed('closed:' .. tenant, not request.pending and 0, id)
  placed('deadlines', request.pending and request.deadline, id)
end

local function is_stale(request)
  local version = string.match(call('GETRANGE', named('request', request.id), 0, 15), '^%d+')
  if (version or '0') ~= request.expected then
    return true
  end
  return request.key and call('HEXISTS', named('keys', request.tenant), request.key) == 1
end

-- Whether each record is still at the version before, and no other has its handle.
local function records_fit(records)
  local ours = {}
  for _, record in ipairs(records) do
    ours[record.kind .. ':' .. record.id] = true
  end
  for _, record in ipairs(records) do
    local version = call('HGET', named('record', record.kind, record.id), 'version')
    if (version or '0') ~= record.expected then
      return false
    end
    local holder = record.kept and record.handle ~= ''
      and call('HGET', named('handles', record.kind), record.handle)
    if holder and not ours[record.kind .. ':' .. holder] then
      return false
    end
  end
  return true
end

local function record_indexes(kind, tenant, owner)
  return {
    named('records', kind), named('records_tenant', kind, tenant),
    named('records_owner', kind, owner), named('records_both', kind, tenant, owner),
  }
end

local function forget_record(record)
  local name = named('record', record.kind, record.id)
  local tenant, owner, handle = unpack(call('HMGET', name, 'tenant', 'owner', 'handle'))
  if tenant then
    for _, index in ipairs(record_indexes(record.kind, tenant, owner)) do
      call('ZREM', index, record.id)
    end
    call('HDEL', named('handles', record.kind), handle)
    call('DEL', name)
  end
end

local function keep_record(record, body)
  call('HSET', named('record', record.kind, record.id), 'version', record.version,
    'tenant', record.tenant, 'owner', record.owner, 'handle', record.handle, 'body', body)
  for _, index in ipairs(record_indexes(record.kind, record.tenant, record.owner)) do
    call('ZADD', index, 0, record.id)
  end
  if record.handle ~= '' then
    call('HSET', named('handles', record.kind), record.handle, record.id)
  end
end

-- All of them give up what they had before any takes something: one may take another's handle.
local function keep_records(records, before)
  for _, record in ipairs(records) do
    forget_record(record)
  end
  for number, record in ipairs(records) do
    if record.kept then
      keep_record(record, record_of(before + number))
    end
  end
end

-- A request, a session or only records, with events, jobs and records; 0 if the request or a record
-- was changed by somebody else, or a handle is taken.
local function keep()
  local records, before = told.records, 1
  if told.request and is_stale(told.request) or records and not records_fit(records) then
    return 0
  end
  if told.request then
    keep_request(told.request, record_of(1))
  elseif told.session then
    call('HSET', named('sessions', told.session.tenant), told.session.id, record_of(1))
  else
    before = 0
  end
  for number = 1, told.events do
    local id = call('INCR', named('event')) .. '-0'
    call('XADD', named('events'), id, 'record', record_of(before + number))
  end
  before = before + told.events
  for number, job in ipairs(told.jobs) do
    if call('EXISTS', named('job', job.id)) == 0 then
      keep_job(job, record_of(before + number))
    end
  end
  if records then
    keep_records(records, before + #told.jobs)
  end
  return 1
end

-- Due jobs, as they are stored from now on, longest due first.
local function claim()
  local claimed = {}
  local due = call('ZRANGEBYSCORE', named('jobs_due'), '-inf', told.now, 'LIMIT', 0, told.limit)
  for _, id in ipairs(due) do
    local _, attempt, _, record = read_job(id)
    if attempt then
      local stored = table.concat({'running', attempt + 1, told['until'], record}, ' ')
      call('SET', named('job', id), stored)
      placed('jobs_due', told['until'], id)
      table.insert(claimed, stored)
    end
  end
  return claimed
end

local function settle()
  for number, job in ipairs(told.jobs) do
    local _, attempt = read_job(job.id)
    if attempt == job.attempt then
      keep_job(job, record_of(number))
    end
  end
end

-- Delete jobs that are done; how many were.
local function forget()
  local forgotten = 0
  for _, job in ipairs(told.jobs) do
    if call('ZREM', named('jobs_done'), job.id) == 1 then
      call('DEL', named('job', job.id))
      call('ZREM', named('jobs', job.tenant), job.id)
      if job.webhook then
        call('ZREM', named('webhook', job.tenant, job.webhook), job.id)
      end
      forgotten = forgotten + 1
    end
  end
  return forgotten
end

-- One record.
local function get()
  return call('GET', named(told.kind, told.id))
end

-- One record of a hash, and all.
local function get_of()
  return call('HGET', named(told.of), told.id)
end

local function get_all_of()
  return call('HVALS', named(told.of))
end

-- 1 if it is in there now, 0 if there are as many as there may be.
local function add_to()
  if call('HEXISTS', named(told.of), told.id) == 0 then
    if call('HLEN', named(told.of)) >= told.limit then
      return 0
    end
    call('HSET', named(told.of), told.id, record_of(1))
  end
  return 1
end

-- The second record in place of the first; 0 if that is not what is there.
local function change_in()
  if call('HGET', named(told.of), told.id) ~= record_of(1) then
    return 0
  end
  call('HSET', named(told.of), told.id, record_of(2))
  return 1
end

local function delete_from()
  return call('HDEL', named(told.of), told.id)
end

-- Events behind one, and the number of the last of all.
local function events()
  return call('XRANGE', named('events'), told.from .. '-0', '+', 'COUNT', told.limit)
end

local function last_event()
  return call('GET', named('event'))
end

-- Records by an index: whether there may be more, the last id that was looked at, then the records.
local function read()
  local index, ids = named(told.index), nil
  if told.upto then
    ids = call('ZRANGEBYSCORE', index, '-inf', told.upto, 'LIMIT', 0, told.limit)
  else
    ids = call('ZREVRANGEBYLEX', index, told.max, told.min, 'LIMIT', 0, told.limit)
  end
  local found, size = {#ids == told.limit and 1 or 0, ids[#ids] or ''}, 0
  for place, id in ipairs(ids) do
    local stored = call('GET', named(told.kind, id))
    if stored then
      table.insert(found, stored)
      size = size + #stored
    end
    if size >= told.bytes and place < #ids then
      found[1], found[2] = 1, id
      break
    end
  end
  return found
end

-- What an idempotency key stands for: "ID FINGERPRINT", and the request as it is stored.
local function replay()
  local known = call('HGET', named('keys', told.tenant), told.key)
  local stored = known and call('GET', named('request', string.match(known, '^%S+')))
  return stored and {known, stored}  -- nothing, if the request was retired
end

-- A record, as version, tenant, owner, handle and body.
local function read_record(kind, id)
  local found = call('HMGET', named('record', kind, id), 'version', 'tenant', 'owner', 'handle', 'body')
  return found[1] and found
end

-- A record by its id, or by its handle: its id, then the rest.
local function get_record()
  local id = told.id or call('HGET', named('handles', told.kind), told.handle)
  local found = id and read_record(told.kind, id)
  return found and {id, found}
end

-- The same of several, by an index.
local function find_records()
  local found = {}
  local ids = call('ZRANGEBYLEX', named(told.index), told.min, '+', 'LIMIT', 0, told.limit)
  for _, id in ipairs(ids) do
    local record = read_record(told.kind, id)
    if record then
      table.insert(found, {id, record})
    end
  end
  return found
end

local function forget_login(hash)
  local person = call('HGET', named('logins_person'), hash)
  if person then
    call('SREM', named('logins_of', person), hash)
  end
  call('HDEL', named('logins_person'), hash)
  call('HDEL', named('logins'), hash)
  call('ZREM', named('logins_end'), hash)
end

local function put_login()
  local gone = call('ZRANGEBYSCORE', named('logins_end'), '-inf', '(' .. told.began)
  for _, hash in ipairs(gone) do
    forget_login(hash)
  end
  forget_login(told.hash)
  call('HSET', named('logins'), told.hash, record_of(1))
  call('HSET', named('logins_person'), told.hash, told.person)
  call('SADD', named('logins_of', told.person), told.hash)
  call('ZADD', named('logins_end'), told.ends, told.hash)
end

local function end_login()
  forget_login(told.hash)
end

local function get_logins()
  local found = {}
  for _, hash in ipairs(call('SMEMBERS', named('logins_of', told.person))) do
    table.insert(found, call('HGET', named('logins'), hash))
  end
  return found
end

local function end_logins()
  for _, hash in ipairs(call('SMEMBERS', named('logins_of', told.person))) do
    forget_login(hash)
  end
end

-- 1 for the first use.
local function use_link()
  call('ZREMRANGEBYSCORE', named('links'), '-inf', '(' .. told.before)
  return call('ZADD', named('links'), 'NX', told.ends, told.name)
end

local function agree()
  call('HSETNX', named('agreed'), told.name, told.value)
  return call('HGET', named('agreed'), told.name)
end

-- Blocks of the ledger, by number; 1 for a block that is new.
local function add_block()
  if call('HSETNX', named('blocks'), told.number, record_of(1)) == 0 then
    return 0
  end
  call('ZADD', named('blocks_last'), told.last, told.number)
  return 1
end

local function blocks_of(numbers)
  local found = {}
  for _, number in ipairs(numbers) do
    table.insert(found, call('HGET', named('blocks'), number))
  end
  return found
end

local function blocks()
  local found = {}
  for number = told.after + 1, told.after + told.limit do
    local record = call('HGET', named('blocks'), number)
    if not record then
      break
    end
    table.insert(found, record)
  end
  return found
end

local function last_block()
  return blocks_of(call('ZREVRANGE', named('blocks_last'), 0, 0))
end

local function find_block()
  local index = named('blocks_last')
  return blocks_of(call('ZRANGEBYSCORE', index, told.event, '+inf', 'LIMIT', 0, 1))
end

-- Requests of all tenants by id: id, "VERSION RECORD", id, ...
local function all_requests()
  local min = told.after == '' and '-' or '(' .. told.after
  local ids, found, tenants = {}, {}, call('SMEMBERS', named('tenants'))
  if call('SISMEMBER', named('tenants'), 'default') == 0 then  -- of a version that kept no names
    table.insert(tenants, 'default')
  end
  for _, tenant in ipairs(tenants) do
    for _, id in ipairs(call('ZRANGEBYLEX', named('requests', tenant), min, '+', 'LIMIT', 0, told.limit)) do
      table.insert(ids, id)
    end
  end
  table.sort(ids)
  for place = 1, math.min(#ids, told.limit) do
    local stored = call('GET', named('request', ids[place]))
    if stored then
      table.insert(found, ids[place])
      table.insert(found, stored)
    end
  end
  return found
end

-- Delete events up to a number, but not the last, and requests that are exactly as told.
local function retire()
  local last = tonumber(call('GET', named('event')) or '0')
  call('XTRIM', named('events'), 'MINID', string.format('%d-0', math.min(told.upto + 1, last)))
  local retired = 0
  for number, request in ipairs(told.requests) do
    local name = named('request', request.id)
    if call('GET', name) == record_of(number) then
      call('DEL', name)
      for _, index in ipairs({'requests', 'pending', 'closed'}) do
        call('ZREM', named(index, request.tenant), request.id)
      end
      if request.session then
        call('ZREM', named('session', request.tenant, request.session), request.id)
      end
      call('ZREM', named('deadlines'), request.id)
      retired = retired + 1
    end
  end
  return retired
end

local operations = {
  add_block = add_block, blocks = blocks, last_block = last_block, find_block = find_block,
  all_requests = all_requests, retire = retire,
  keep = keep, claim = claim, settle = settle, forget = forget,
  get = get, get_of = get_of, get_all_of = get_all_of, read = read, replay = replay,
  events = events, last_event = last_event, add_to = add_to, change_in = change_in,
  delete_from = delete_from,
  get_record = get_record, find_records = find_records,
  put_login = put_login, end_login = end_login, use_link = use_link,
  get_logins = get_logins, end_logins = end_logins,
  agree = agree,
}

local results, place = {}, 1
while ARGV[place] do
  told, before_records = cjson.decode(ARGV[place + 1]), place + 2
  local is_done, result = pcall(operations[ARGV[place]])
  if not is_done then
    result = {err = type(result) == 'table' and result.err or tostring(result)}
  end
  table.insert(results, result or false)
  place = before_records + tonumber(ARGV[before_records]) + 1
end
return results
