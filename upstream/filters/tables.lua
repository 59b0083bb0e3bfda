-- SPDX-License-Identifier: MIT
-- Makes a table that is too wide for a line fit, at the cost of its widest
-- columns; a table that fits is left alone, one line a row.

-- Of each format: columns of a whole table, one gap outside of each edge
-- counted; columns of a gap; what the writer multiplies a width with, and what
-- it takes off again.
local FORMATS = {
  man = {room = 77, around = 3, line = 70, added = 0},
  rst = {room = 77, around = 3, line = 72, added = 3},
}
local format = FORMATS[FORMAT] or {room = 76, around = 2, line = 72, added = 1}

-- Length of the text of a cell and of its longest word, in characters.
local function measure(cell)
  local long, word, quotes = 0, 0, 0
  pandoc.walk_block(pandoc.Div(cell), {
    Code = function() quotes = quotes + (FORMAT == "rst" and 4 or 2) end,
  })
  local text = pandoc.utils.stringify(cell)
  for found in text:gmatch("%S+") do
    word = math.max(word, utf8.len(found))
  end
  long = utf8.len(text) + quotes
  return long, math.min(long, word + quotes)
end

-- Take from the widest column that can give until all fit into room.
local function shrink(widths, least, room)
  local excess = -room
  for _, width in ipairs(widths) do excess = excess + width end
  for _ = 1, excess do
    local widest
    for column, width in ipairs(widths) do
      if width > least[column] and (not widest or width > widths[widest]) then
        widest = column
      end
    end
    if not widest then break end
    widths[widest] = widths[widest] - 1
  end
  return excess > 0
end

function Table(original)
  local simple = pandoc.utils.to_simple_table(original)
  local wanted, least = {}, {}
  for _, row in ipairs(pandoc.List({simple.headers}) .. simple.rows) do
    for column, cell in ipairs(row) do
      local long, word = measure(cell)
      wanted[column] = math.max(wanted[column] or 1, long)
      least[column] = math.max(least[column] or 1, word)
    end
  end
  local shrunk = shrink(wanted, least, format.room - format.around * (#wanted + 1))
  for column, width in ipairs(wanted) do
    simple.widths[column] = shrunk and (width + format.added) / format.line or 0
    simple.aligns[column] = pandoc.AlignDefault
  end
  return pandoc.utils.from_simple_table(simple)
end
