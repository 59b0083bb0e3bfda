-- SPDX-License-Identifier: MIT
-- Plain text shows what pandoc leaves out of it: headings get a line below
-- them or, where they name a clause, brackets, as references have them; code
-- gets quotes.

local LINES = {"=", "-", "~"}

function Header(header)
  local text = pandoc.utils.stringify(header)
  local line = LINES[header.level]
  if line then
    text = text .. "\n" .. line:rep(utf8.len(text))
  else
    text = "[" .. text .. "]"
  end
  return pandoc.RawBlock("plain", text .. "\n")
end

function Link(link)
  return {pandoc.Str("["), pandoc.Span(link.content), pandoc.Str("]")}
end

function Code(code)
  return pandoc.Str("'" .. code.text .. "'")
end
