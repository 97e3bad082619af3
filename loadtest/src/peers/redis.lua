-- What a purchase does in Kembali, in Redis: each purchase is booked once, a promo's quota is never overdrawn, a tier is counted and its
-- milestones pay, and the wallet changes together with its entry. One call books any number of purchases, and all of them are in the
-- append-only file, synced, before it is answered.
--
-- Left out, to its favour: gaps between purchases, rules in versions, refusals, house accounts, and the whole decision in the answer: here
-- it is the points alone. A customer's place in the Journey programme is one number, counted over all levels.
--
-- KEYS: the promo (a hash: used), all purchases (a hash), all entries (a list). ARGV: six for each purchase: origin id, customer, amount,
-- quantity, shop, seconds since 1970. The keys of customers are made here: this is for one node.

local QUOTA, STARTS_AT, ENDS_AT = 10000, 1483203600, 1514739599
-- Quantity from and to, amount from and below, hundredths of a percent.
local BANDS = {
    { 1, 1, 0, 100000, 120 },
    { 1, 1, 100000, 500000, 175 },
    { 1, 1, 500000, 1000000, 230 },
    { 2, 2, 500000, 1000000, 245 },
    { 2, 2, 1000000, 1500000, 275 },
    { 2, 2, 1500000, math.huge, 295 },
    { 3, math.huge, 1500000, math.huge, 335 },
}
local STEPS = {
    [3] = 15000, [5] = 25000, [7] = 35000, [10] = 17500, [12] = 28500, [14] = 37500, [17] = 18000, [19] = 29000, [21] = 38000,
}

local promo, purchases, entries = KEYS[1], KEYS[2], KEYS[3]
local used = tonumber(redis.call('HGET', promo, 'used') or 0)
local used_before = used
local answers = {}
for at = 1, #ARGV, 6 do
    local id, ref, amount, quantity = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local what = ref .. ' ' .. ARGV[at + 2] .. ' ' .. ARGV[at + 3] .. ' ' .. ARGV[at + 4] .. ' ' .. ARGV[at + 5]
    if redis.call('HSETNX', purchases, id, what) == 0 then
        answers[#answers + 1] = false
    else
        local customer = 'customer:' .. ref
        local loyalty = STEPS[redis.call('HINCRBY', customer, 'place', 1)] or 0
        local transaction = 0
        local occurred = tonumber(ARGV[at + 5])
        if used < QUOTA and STARTS_AT <= occurred and occurred <= ENDS_AT then
            for _, band in ipairs(BANDS) do
                if band[1] <= quantity and quantity <= band[2] and band[3] <= amount and amount < band[4] then
                    transaction = math.floor((amount * band[5] + 5000) / 10000)
                    used = used + 1
                    break
                end
            end
        end
        local points = transaction + loyalty
        if 0 < points then
            redis.call('HINCRBY', customer, 'balance', points)
            redis.call('RPUSH', entries, id .. ' ' .. ref .. ' ' .. transaction .. ' ' .. loyalty)
        end
        answers[#answers + 1] = points
    end
end
if used_before < used then
    redis.call('HSET', promo, 'used', used)
end
return answers
