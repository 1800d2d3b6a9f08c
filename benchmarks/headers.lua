-- Sends the header lines of the file BENCH_HEADERS in turn, one with each request.
local prepared, last = {}, 0

function init()
  for line in io.lines(os.getenv("BENCH_HEADERS")) do
    local name, value = line:match("^([^:]+):%s*(.*)$")
    prepared[#prepared + 1] = wrk.format("GET", nil, { [name] = value })
  end
end

function request()
  last = last % #prepared + 1
  return prepared[last]
end
