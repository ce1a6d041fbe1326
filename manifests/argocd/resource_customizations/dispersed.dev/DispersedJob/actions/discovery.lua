local actions = {}
local suspended = obj.spec.suspend == true
local ended = obj.status ~= nil and (obj.status.phase == "Succeeded" or obj.status.phase == "Failed")
actions["suspend"] = { ["disabled"] = suspended or ended }
actions["resume"] = { ["disabled"] = not suspended }
actions["reconcile"] = { ["disabled"] = false }
return actions
