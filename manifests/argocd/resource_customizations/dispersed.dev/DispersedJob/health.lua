-- Healthy is what the job's own Ready says: a Batch job that is complete, a Persistent one that runs.
local health = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the operator to see the newest spec"
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local ready = conditions["Ready"]
if ready ~= nil then
  health.message = ready.reason
  if ready.message ~= nil and ready.message ~= "" then
    health.message = ready.reason .. ": " .. ready.message
  end
end

if holds("Failed") or holds("Stalled") then
  health.status = "Degraded"
elseif holds("Suspended") then
  health.status = "Suspended"
elseif holds("Complete") or holds("Ready") then
  health.status = "Healthy"
end
return health
