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

return {
  {Header = function(header)
    titles[header.identifier] = pandoc.utils.stringify(header)
  end},
  {Link = Link},
}
