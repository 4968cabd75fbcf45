package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // decodes what is not UTF-8
	"github.com/emersion/go-message/mail"

	"mpush/sdk"
)

// maxTextBytes is more than a message may have: what is longer need not be read.
const maxTextBytes = 1 << 20

var errTextTooLong = fmt.Errorf("the text has more than %d bytes", maxTextBytes)

// midHeader is in each mail that this channel sends.
const midHeader = "X-Mpush-Mid"

// parsed is what of a mail is the message.
type parsed struct {
	subject, text string
	extra         extra
	loops         bool // it was made of a message
}

// extra is what else a receiver may want to know.
type extra struct {
	From        string   `json:"from"` // as the mail says, which anybody can write
	To          string   `json:"to"`
	Date        string   `json:"date,omitempty"`
	MessageID   string   `json:"messageId,omitempty"`
	Attachments []string `json:"attachments,omitempty"` // their names: they are not kept
}

// parse reads a mail, part by part: attachments are never in memory.
func parse(r io.Reader) (parsed, error) {
	reader, err := mail.CreateReader(r)
	if err != nil && !message.IsUnknownCharset(err) {
		return parsed{}, err
	}
	defer reader.Close()
	p := parsed{loops: reader.Header.Has(midHeader)}
	p.subject, _ = reader.Header.Subject() // as far as it can be decoded
	p.extra.From, _ = reader.Header.Text("From")
	p.extra.Date = reader.Header.Get("Date")
	p.extra.MessageID, _ = reader.Header.MessageID()
	var plain, marked string
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return parsed{}, err
		}
		switch header := part.Header.(type) {
		case *mail.AttachmentHeader:
			name, _ := header.Filename()
			p.extra.Attachments = append(p.extra.Attachments, clean(name))
		case *mail.InlineHeader:
			kind, _, _ := header.ContentType()
			if kind == "text/plain" && plain == "" {
				plain, err = readText(part.Body)
			} else if kind == "text/html" && marked == "" {
				marked, err = readText(part.Body)
			} else {
				err = nil
			}
			if err != nil {
				return parsed{}, err
			}
		}
	}
	if plain == "" {
		plain = plainOf(marked)
	}
	p.text = strings.TrimSpace(plain)
	if p.subject = strings.TrimSpace(clean(p.subject)); p.subject == "" {
		p.subject = "(no subject)"
	}
	p.extra.From = clean(p.extra.From)
	p.extra.Date, p.extra.MessageID = clean(p.extra.Date), clean(p.extra.MessageID)
	return p, nil
}

func readText(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTextBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxTextBytes {
		return "", errTextTooLong
	}
	return clean(strings.ReplaceAll(string(text), "\r\n", "\n")), nil
}

// clean makes text what a message may hold.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// publish makes the message for one recipient. A mail with an id that is sent
// again, since the answer to it was lost or another recipient had to wait, is
// the same message.
func (p parsed) publish(credentials sdk.Credentials, envelopeFrom string, to recipient) sdk.Publish {
	e := p.extra
	e.To = clean(to.address)
	if e.From == "" {
		e.From = clean(envelopeFrom)
	}
	members, _ := json.Marshal(e) // strings
	message := sdk.Publish{
		Credentials: credentials,
		SendType:    to.sendType,
		Target:      clean(to.target),
		Text:        p.subject,
		Desp:        p.text,
		Extra:       members,
	}
	if e.MessageID != "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q %s", message.SendType, message.Target, message.Text, message.Desp, members))
		message.IdempotencyKey = "mail " + hex.EncodeToString(sum[:])
	}
	return message
}
