-- Wireshark dissector of the lottery's port: frames, and lines of echo. TLS is left to Wireshark's own.
--
--   wireshark -X lua_script:wire/lottery.lua
--   tshark -X lua_script:wire/lottery.lua -r capture.pcapng -Y lottery
--
-- The port is a preference of the protocol (12345); any other: -d tcp.port==9999,lottery.
-- The tables of the protocol are in docs/protocol.md; the bytes' one truth is src/request.rs and
-- src/response.rs.
--
-- Frames that span segments are put together, and several in one segment are taken apart. In a
-- capture that begins in the middle of a connection, lines are shown until a segment begins with a
-- frame.

local lottery = Proto("lottery", "Lotería Nacional")

local MAGIC, TLS_HANDSHAKE, HEADER_LEN, FRAME_MAX = 0xBE, 0x16, 4, 8192

local KINDS = {
    [0x01] = "HELLO", [0x02] = "BET", [0x03] = "BATCH", [0x04] = "END", [0x05] = "WINNERS?",
    [0x81] = "WELCOME", [0x82] = "STORED", [0x83] = "REJECTED", [0x84] = "UNAVAILABLE",
    [0x85] = "FINISHED", [0x86] = "WINNERS", [0xFF] = "ERROR",
}
-- Of HELLO: the first names no draw, the second names one.
local UNNAMED, NAMED = "1", "2"
local VERSIONS = { [UNNAMED] = true, [NAMED] = true }
local PHASES = { [0] = "open", [1] = "finished", [2] = "drawn" }
local BET_FIELDS = {
    [1] = "first name", [2] = "last name", [3] = "document", [4] = "birthdate", [5] = "number",
}
local ERRORS = {
    [1] = "not a frame, or not a message", [2] = "frame too large", [3] = "unknown kind",
    [4] = "other version", [5] = "agency outside 1..N", [6] = "not introduced",
    [7] = "introduced twice", [8] = "gap", [9] = "overlap", [10] = "bets after the agency's end",
    [11] = "bets or end after the draw", [12] = "total isn't the position reached",
    [13] = "winners before the end", [14] = "superseded by another connection",
    [15] = "too slow", [16] = "shutting down", [17] = "TLS required",
    [18] = "certificate required", [19] = "certificate revoked",
    [20] = "certificate of another agency", [21] = "not an address of the agency",
    [22] = "another draw", [23] = "store unreachable",
}

local f = {
    magic = ProtoField.uint8("lottery.magic", "Magic", base.HEX),
    kind = ProtoField.uint8("lottery.kind", "Kind", base.HEX, KINDS),
    length = ProtoField.uint16("lottery.length", "Length", base.DEC),
    version = ProtoField.uint8("lottery.version", "Version", base.DEC),
    agency = ProtoField.uint32("lottery.agency", "Agency", base.DEC),
    draw = ProtoField.string("lottery.draw", "Draw", base.UNICODE),
    position = ProtoField.uint64("lottery.position", "Position", base.DEC),
    count = ProtoField.uint16("lottery.count", "Count", base.DEC),
    bet = ProtoField.none("lottery.bet", "Bet"),
    first_name = ProtoField.string("lottery.bet.first_name", "First name", base.UNICODE),
    last_name = ProtoField.string("lottery.bet.last_name", "Last name", base.UNICODE),
    document = ProtoField.string("lottery.bet.document", "Document", base.UNICODE),
    birthdate = ProtoField.string("lottery.bet.birthdate", "Birthdate", base.UNICODE),
    number = ProtoField.string("lottery.bet.number", "Number", base.UNICODE),
    total = ProtoField.uint64("lottery.total", "Total", base.DEC),
    consumed = ProtoField.uint64("lottery.consumed", "Consumed", base.DEC),
    checksum = ProtoField.uint32("lottery.checksum", "Checksum", base.HEX),
    stored = ProtoField.uint64("lottery.stored", "Stored", base.DEC),
    rejected = ProtoField.uint64("lottery.rejected", "Rejected", base.DEC),
    phase = ProtoField.uint8("lottery.phase", "Phase", base.DEC, PHASES),
    index = ProtoField.uint16("lottery.index", "Index of the bad bet", base.DEC),
    field = ProtoField.uint8("lottery.field", "Bad field", base.DEC, BET_FIELDS),
    last = ProtoField.bool("lottery.last", "Last frame of the list"),
    winner = ProtoField.string("lottery.winner", "Winner", base.UNICODE),
    code = ProtoField.uint8("lottery.code", "Code", base.DEC, ERRORS),
    reason = ProtoField.string("lottery.reason", "Reason", base.UNICODE),
    line = ProtoField.string("lottery.line", "Line", base.UNICODE),
}
lottery.fields = f

local malformed = ProtoExpert.new("lottery.malformed", "Malformed frame", expert.group.MALFORMED,
    expert.severity.ERROR)
lottery.experts = { malformed }

-- Reads a frame from the end of its header on, and adds what it reads to the tree. Reading beyond the end is
-- an error, caught where the frame is dissected.
local Reader = {}
Reader.__index = Reader

function Reader.new(frame, tree)
    return setmetatable({ frame = frame, tree = tree, offset = HEADER_LEN }, Reader)
end

function Reader:left()
    return self.frame:len() - self.offset
end

function Reader:take(length)
    if length > self:left() then
        error({ reason = string.format("%d bytes expected, %d left", length, self:left()) })
    end
    local range = self.frame:range(self.offset, length)
    self.offset = self.offset + length
    return range
end

-- What isn't understood is left to the eye.
function Reader:skip()
    self.offset = self.frame:len()
end

-- A number of so many bytes. Returns it as text for the info column.
function Reader:number(field, length)
    local range = self:take(length)
    self.tree:add(field, range)
    return tostring(range:uint64())
end

-- One byte of length, and so many bytes.
function Reader:short(field, tree)
    local length = self:take(1):uint()
    if length == 0 then
        tree:add(field, self.frame:range(self.offset - 1, 1), "")
        return ""
    end
    local range = self:take(length)
    tree:add_packet_field(field, range, ENC_UTF_8)
    return range:string(ENC_UTF_8)
end

-- The rest of the frame.
function Reader:text(field)
    if self:left() == 0 then return "" end
    local range = self:take(self:left())
    self.tree:add_packet_field(field, range, ENC_UTF_8)
    return range:string(ENC_UTF_8)
end

local BET = { f.first_name, f.last_name, f.document, f.birthdate, f.number }

local function read_bet(reader)
    local start = reader.offset
    local bet, words = reader.tree:add(f.bet, reader.frame:range(start)), {}
    for _, field in ipairs(BET) do
        table.insert(words, reader:short(field, bet))
    end
    bet:set_len(reader.offset - start)
    bet:append_text(": " .. table.concat(words, ", "))
end

local function read_batch(reader)
    local position, count = reader:number(f.position, 8), reader:number(f.count, 2)
    for _ = 1, tonumber(count) do read_bet(reader) end
    return "pos=" .. position .. " n=" .. count
end

-- The fields in the body of each kind, in their order; returns the text of the info column.
local BODIES = {
    [0x01] = function(reader)
        local version = reader:number(f.version, 1)
        if not VERSIONS[version] then
            -- Its fields are its own.
            reader:skip()
            return "version=" .. version
        end
        local agency = "agency=" .. reader:number(f.agency, 4)
        if version == UNNAMED then return agency end
        return agency .. " draw=" .. reader:short(f.draw, reader.tree)
    end,
    [0x02] = read_batch,
    [0x03] = read_batch,
    [0x04] = function(reader) return "total=" .. reader:number(f.total, 8) end,
    [0x05] = function() return "" end,
    [0x81] = function(reader)
        local consumed = reader:number(f.consumed, 8)
        reader:number(f.checksum, 4)
        reader:number(f.rejected, 8)
        local phase = tonumber(reader:number(f.phase, 1))
        return "consumed=" .. consumed .. " " .. (PHASES[phase] or "?")
    end,
    [0x82] = function(reader) return "consumed=" .. reader:number(f.consumed, 8) end,
    [0x83] = function(reader)
        local consumed, index = reader:number(f.consumed, 8), reader:number(f.index, 2)
        reader:number(f.field, 1)
        return "consumed=" .. consumed .. " index=" .. index .. " " .. reader:text(f.reason)
    end,
    [0x84] = function(reader)
        return "consumed=" .. reader:number(f.consumed, 8) .. " " .. reader:text(f.reason)
    end,
    [0x85] = function(reader)
        local stored = reader:number(f.stored, 8)
        return "stored=" .. stored .. " rejected=" .. reader:number(f.rejected, 8)
    end,
    [0x86] = function(reader)
        reader:number(f.last, 1)
        local count = reader:number(f.count, 2)
        for _ = 1, tonumber(count) do reader:short(f.winner, reader.tree) end
        return "n=" .. count
    end,
    [0xFF] = function(reader)
        local code = reader:number(f.code, 1)
        return "code=" .. code .. " " .. reader:text(f.reason)
    end,
}

local function complain(tree, reason)
    tree:add_proto_expert_info(malformed, reason)
end

local function show(pinfo, text)
    pinfo.cols.protocol = "Lottery"
    if text ~= "" then pinfo.cols.info:append(" " .. text) end
end

local function dissect_body(frame, kind, tree)
    local reader = Reader.new(frame, tree)
    local info = BODIES[kind](reader)
    if reader:left() > 0 then
        error({ reason = string.format("%d bytes too many", reader:left()) })
    end
    return info
end

-- One whole frame.
local function dissect_frame(tvb, pinfo, root)
    local kind = tvb(1, 1):uint()
    local name = KINDS[kind] or string.format("kind 0x%02x", kind)
    local tree = root:add(lottery, tvb(), "Lotería Nacional, " .. name)
    tree:add(f.magic, tvb(0, 1))
    tree:add(f.kind, tvb(1, 1))
    tree:add(f.length, tvb(2, 2))
    if not BODIES[kind] then
        complain(tree, "unknown kind")
        return show(pinfo, name)
    end
    local good, result = pcall(dissect_body, tvb, kind, tree)
    if not good then
        -- Anything else than our own complaint is a fault of this script: let it be seen.
        if type(result) ~= "table" then error(result) end
        complain(tree, result.reason)
        result = "malformed"
    end
    show(pinfo, name .. (result ~= "" and " " .. result or ""))
end

-- The length of the frame that begins here; nil when none can.
local function frame_length(tvb, offset)
    if tvb(offset, 1):uint() ~= MAGIC then return nil end
    if tvb:len() - offset < HEADER_LEN then return HEADER_LEN end
    local length = tvb(offset + 2, 2):uint()
    if length < HEADER_LEN or length > FRAME_MAX then return nil end
    return length
end

local function ask_for_more(pinfo, offset, length)
    pinfo.desegment_offset = offset
    pinfo.desegment_len = length
end

local function dissect_frames(tvb, pinfo, root)
    local offset = 0
    while offset < tvb:len() do
        local length, left = frame_length(tvb, offset), tvb:len() - offset
        if not length then
            local tree = root:add(lottery, tvb(offset))
            complain(tree, "no frame begins here: magic 0xBE and a length of 4 to 8192 expected")
            show(pinfo, "no frame")
            return
        end
        if left < HEADER_LEN then return ask_for_more(pinfo, offset, DESEGMENT_ONE_MORE_SEGMENT) end
        if left < length then return ask_for_more(pinfo, offset, length - left) end
        dissect_frame(tvb:range(offset, length):tvb(), pinfo, root)
        offset = offset + length
    end
end

local function dissect_lines(tvb, pinfo, root)
    local tree = root:add(lottery, tvb(), "Lotería Nacional, echo")
    for start, line in tvb:raw():gmatch("()([^\n]+)") do
        local range = tvb:range(start - 1, #line)
        tree:add_packet_field(f.line, range, ENC_UTF_8)
        show(pinfo, range:string(ENC_UTF_8))
    end
end

-- What each connection was seen to speak: a later segment that begins with another byte is a broken
-- frame, or a record of TLS, and not a line.
local dissectors = {}
local stream = Field.new("tcp.stream")

function lottery.init()
    dissectors = {}
end

-- What a connection speaks that begins with this byte, unless it is lines.
local function dissector_of(first)
    if first == MAGIC then return dissect_frames end
    if first == TLS_HANDSHAKE then
        local tls = Dissector.get("tls")
        return function(tvb, pinfo, root) tls:call(tvb, pinfo, root) end
    end
end

function lottery.dissector(tvb, pinfo, root)
    if tvb:len() == 0 then return end
    local connection = stream().value
    pinfo.cols.info:clear()
    local dissect = dissectors[connection] or dissector_of(tvb(0, 1):uint())
    dissectors[connection] = dissect
    if dissect then return dissect(tvb, pinfo, root) end
    dissect_lines(tvb, pinfo, root)
end

lottery.prefs.port = Pref.uint("TCP port", 12345, "Where the central listens")
local ports = DissectorTable.get("tcp.port")
local port = lottery.prefs.port
ports:add(port, lottery)

function lottery.prefs_changed()
    ports:remove(port, lottery)
    port = lottery.prefs.port
    ports:add(port, lottery)
end
