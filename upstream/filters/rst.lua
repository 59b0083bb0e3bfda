-- SPDX-License-Identifier: MIT
-- In reStructuredText every heading is a name, and a link names its heading.

local titles = {}

function Link(link)
  local title = titles[link.target:match("^#(.*)")]
  if title then
    local text = pandoc.utils.stringify(link.content)
    local named = text == title and text or text .. " <" .. title .. "_>"
    return pandoc.RawInline("rst", "`" .. named .. "`_")
  end
end

-- What stands raw is broken anywhere when a column is narrower: give it its width.
local columns = PANDOC_WRITER_OPTIONS.columns

local function longest_raw(rows, at, longest)
  for _, row in ipairs(rows) do
    pandoc.walk_block(pandoc.Div(row.cells[at].contents), {RawInline = function(raw)
      longest = math.max(longest, #raw.text)
    end})
  end
  return longest
end

function Table(tbl)
  local wide, rest, others = {}, columns, 0
  for at in ipairs(tbl.colspecs) do
    wide[at] = 0
    for _, body in ipairs(tbl.bodies) do
      wide[at] = longest_raw(body.body, at, wide[at])
    end
    if wide[at] > 0 then rest = rest - wide[at] - 3 else others = others + 1 end
  end
  if others == #tbl.colspecs or others == 0 then return nil end
  for at, spec in ipairs(tbl.colspecs) do
    local width = wide[at] > 0 and wide[at] + 3 or rest / others
    tbl.colspecs[at] = {spec[1], width / columns}
  end
  return tbl
end

return {
  {Header = function(header)
    titles[header.identifier] = pandoc.utils.stringify(header)
  end},
  {Link = Link},
  {Table = Table},
}
