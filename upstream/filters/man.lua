-- SPDX-License-Identifier: MIT
-- A man page begins with its name, has headings of two levels, and breaks no
-- line at a hyphen of an id; pictures start at the left edge.

local function unbroken(text)
  return (text:gsub("\\", "\\e"):gsub("-", "\\-"))
end

function Header(header)
  if header.level == 1 then
    local name = "vtpm-protocol \\- " .. pandoc.utils.stringify(header)
    return {pandoc.Header(1, "NAME"), pandoc.Para({pandoc.RawInline("man", name)})}
  elseif header.level <= 3 then
    return pandoc.Header(header.level - 1, header.content)
  end
  return pandoc.Para({pandoc.Strong(header.content)})
end

function Str(text)
  if text.text:match("%l%.%l[%l%d-]*%-%l") then
    return pandoc.RawInline("man", unbroken(text.text))
  end
end

function Code(code)
  return pandoc.RawInline("man", "\\f[B]" .. unbroken(code.text) .. "\\f[R]")
end

function CodeBlock(block)
  local text = ("\n" .. unbroken(block.text)):gsub("\n([.'])", "\n\\&%1")
  return pandoc.RawBlock("man", ".PP\n.in 0\n.nf" .. text .. "\n.fi\n.in")
end
