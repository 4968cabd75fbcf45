package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // decodes what is not UTF-8
	"github.com/emersion/go-message/mail"

	"mpush/sdk"
)

// maxTextBytes is more than a message may have: what is longer need not be read.
const maxTextBytes = 1 << 20

// maxLevels is how deep multiparts may lie in each other: what is read passes
// through all of them.
const maxLevels = 32

var (
	errTextTooLong = fmt.Errorf("the text has more than %d bytes", maxTextBytes)
	errTooDeep     = fmt.Errorf("more than %d multiparts lie in each other", maxLevels)
)

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
	whole, err := message.Read(r)
	if err != nil && !message.IsUnknownCharset(err) {
		return parsed{}, err
	}
	header := mail.Header{Header: whole.Header}
	p := parsed{loops: header.Has(midHeader)}
	p.subject, _ = header.Subject() // as far as it can be decoded
	p.extra.From, _ = header.Text("From")
	p.extra.Date = header.Get("Date")
	p.extra.MessageID, _ = header.MessageID()
	var plain, marked string
	err = eachPart(whole, 0, func(part *message.Entity) (err error) {
		kind, _, _ := part.Header.ContentType()
		disposition, _, _ := part.Header.ContentDisposition()
		switch {
		case disposition != "inline" && (disposition == "attachment" || !strings.HasPrefix(kind, "text/")):
			attachment := mail.AttachmentHeader{Header: part.Header}
			name, _ := attachment.Filename()
			p.extra.Attachments = append(p.extra.Attachments, clean(name))
		case kind == "text/plain" && plain == "":
			plain, err = readText(part.Body)
		case kind == "text/html" && marked == "":
			marked, err = readText(part.Body)
		}
		return err
	})
	if err != nil {
		return parsed{}, err
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

// eachPart calls do with all parts that are no multiparts, in order. The readers
// of the standard library bound a part's header, which go-message's do not.
func eachPart(e *message.Entity, level int, do func(*message.Entity) error) error {
	kind, params, _ := e.Header.ContentType()
	if !strings.HasPrefix(kind, "multipart/") {
		return do(e)
	}
	if level == maxLevels {
		return errTooDeep
	}
	parts := multipart.NewReader(e.Body, params["boundary"])
	for {
		raw, err := parts.NextRawPart()
		if err == io.EOF { // itself: within others it is a fault
			return nil
		}
		if err != nil {
			return err
		}
		part, err := message.New(message.HeaderFromMap(raw.Header), raw)
		if err != nil && !message.IsUnknownCharset(err) {
			return err
		}
		if err := eachPart(part, level+1, do); err != nil {
			return err
		}
	}
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
