package main

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"mpush/sdk"
)

// maxSubject is how many characters of a text are its mail's subject. What is
// longer is there, and whole in the body.
const maxSubject = 150

// compose makes the mail of a message for one address.
func compose(from, to, receiver string, m *sdk.Message) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(from); err != nil {
		return nil, fmt.Errorf("the sender's address: %w", err)
	}
	if err := msg.To(to); err != nil {
		return nil, fmt.Errorf("the receiver's address: %w", err)
	}
	subject, body := subjectAndBody(m)
	msg.Subject(subject)
	msg.SetBodyString(mail.TypeTextPlain, body)
	msg.SetDate()
	msg.SetMessageIDWithValue(messageID(from, receiver, m.MID))
	msg.SetGenHeader(midHeader, strconv.FormatInt(m.MID, 10))
	// No vacation notice in return (RFC 3834).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	return msg, nil
}

// messageID is the same each time that a message is sent to a receiver: a mail
// that comes twice can be told by it.
func messageID(from, receiver string, mid int64) string {
	sum := sha256.Sum256([]byte(receiver))
	domain := strings.TrimSuffix(from[strings.LastIndexByte(from, '@')+1:], ">")
	return fmt.Sprintf("%d.%x@%s", mid, sum[:8], domain)
}

func subjectAndBody(m *sdk.Message) (subject, body string) {
	text := strings.TrimSpace(m.Text)
	subject = strings.Join(strings.Fields(text), " ")
	parts := make([]string, 0, 2)
	if short := []rune(subject); len(short) > maxSubject {
		subject = string(short[:maxSubject]) + "…"
		parts = append(parts, text)
	} else if strings.Contains(text, "\n") {
		parts = append(parts, text)
	}
	if subject == "" {
		subject = "(no text)"
	}
	if m.Desp != "" {
		parts = append(parts, m.Desp)
	}
	return subject, strings.Join(parts, "\n\n")
}
