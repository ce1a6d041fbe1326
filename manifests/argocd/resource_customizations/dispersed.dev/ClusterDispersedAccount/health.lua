-- What passes by itself: nobody has to do anything.
local passing = { AccountProbing = true, APIUnavailable = true, RateLimited = true }

local health = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the operator to see the newest spec"
  return health
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    health.message = condition.reason
    if condition.message ~= nil and condition.message ~= "" then
      health.message = condition.reason .. ": " .. condition.message
    end
    if condition.status == "True" then
      health.status = "Healthy"
    elseif not passing[condition.reason] then
      health.status = "Degraded"
    end
  end
end
return health
