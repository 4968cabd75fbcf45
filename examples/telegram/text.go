package main

import (
	"strings"
	"unicode/utf16"

	"mpush/sdk"
)

// maxUnits is how long a message may be, in UTF-16 code units, as Telegram
// counts (https://core.telegram.org/bots/api#sendmessage).
const maxUnits = 4096

// cutMark ends a text that was longer.
const cutMark = "…\n[cut]"

// textOf is what the chat reads. Telegram refuses a text without anything to
// see.
func textOf(m *sdk.Message) string {
	text := m.Text
	if m.Desp != "" {
		text += "\n\n" + m.Desp
	}
	if text = strings.TrimSpace(text); text == "" {
		return "(no text)"
	}
	return cut(text)
}

// cut makes text fit, whole characters of it, and says so at its end.
func cut(text string) string {
	units, end := 0, 0
	room := maxUnits - units16(cutMark)
	for i, r := range text {
		if units <= room {
			end = i
		}
		units += utf16.RuneLen(r)
	}
	if units <= maxUnits {
		return text
	}
	return text[:end] + cutMark
}

func units16(text string) (n int) {
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}
