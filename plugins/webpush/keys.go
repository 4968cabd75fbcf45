package webpush

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// pair is a VAPID key pair (RFC 8292), base64url without padding. Its JSON is
// that of an old server's keys file. Browsers bind their subscriptions to the
// public key, so it must never change.
type pair struct {
	Public  string `json:"publicKey"`
	Private string `json:"privateKey"`
}

const (
	// stateKey is where the core keeps the pair.
	stateKey = "vapid"
	// OldKeysVariable is the environment variable with the path of an old
	// server's keys file.
	OldKeysVariable = "MPUSH_WEBPUSH_KEYS"
	// maxKeysBytes bounds what is read of that file.
	maxKeysBytes = 64 << 10
	// scalarBytes is the length of a P-256 private key.
	scalarBytes = 32
)

// oldKeys is what became of reading an old server's keys file.
type oldKeys struct {
	path string // "" is none
	pair pair
	err  error
}

func readOldKeys(path string) oldKeys {
	if path == "" {
		return oldKeys{}
	}
	old := oldKeys{path: path}
	text, err := readFile(path)
	if err == nil {
		old.pair, err = parsePair(text)
	}
	if err != nil {
		old.err = fmt.Errorf("the old server's keys file %q: %w", path, err)
	}
	return old
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxKeysBytes))
}

// loadKeys returns the kept pair, else the old server's, else a new one, which
// is kept then. Keys that are there but unusable are an error: with others in
// their place, every client would have to subscribe anew, and none does.
func (p *plugin) loadKeys(ctx context.Context) (pair, error) {
	log := slog.With("channel", p.host.Channel())
	entries, err := p.host.State(ctx, stateKey)
	if err != nil {
		return pair{}, fmt.Errorf("read the VAPID keys: %w", err)
	}
	if kept, ok := entries[stateKey]; ok {
		keys, err := parsePair(kept)
		if err != nil {
			return pair{}, fmt.Errorf("the kept VAPID keys: %w", err)
		}
		if p.old.path != "" && p.old.err == nil && p.old.pair != keys {
			log.Warn("the old server's keys file holds other keys than this server has kept: the kept ones are used", "file", p.old.path)
		}
		return keys, nil
	}
	keys, what := p.old.pair, "imported the VAPID keys of the old server"
	switch {
	case p.old.err != nil:
		return pair{}, fmt.Errorf("%w (mend it, or move it away to have new keys made)", p.old.err)
	case p.old.path == "":
		what = "made new VAPID keys"
		if keys, err = makePair(); err != nil {
			return pair{}, err
		}
	}
	value, err := json.Marshal(keys)
	if err != nil {
		return pair{}, fmt.Errorf("encode the VAPID keys: %w", err)
	}
	if err := p.host.SetState(ctx, stateKey, value); err != nil {
		return pair{}, fmt.Errorf("keep the VAPID keys: %w", err)
	}
	log.Info(what)
	return keys, nil
}

func makePair() (pair, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make VAPID keys: %w", err)
	}
	return pairOf(key), nil
}

func pairOf(key *ecdh.PrivateKey) pair {
	return pair{
		Public:  base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()),
		Private: base64.RawURLEncoding.EncodeToString(key.Bytes()),
	}
}

// parsePair reads a pair and checks it. No error holds a part of the private
// key.
func parsePair(text []byte) (pair, error) {
	var given pair
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &given); err != nil {
		return pair{}, errors.New(`expected {"publicKey": "…", "privateKey": "…"}`)
	}
	private, err := decodeBase64(given.Private)
	if err != nil || len(private) == 0 || len(private) > scalarBytes {
		return pair{}, errors.New("privateKey: expected 32 bytes in base64url")
	}
	public, err := decodeBase64(given.Public)
	if err != nil || len(public) == 0 {
		return pair{}, errors.New("publicKey: expected base64url")
	}
	// Some versions of the library that made them leave out leading zeros.
	scalar := make([]byte, scalarBytes)
	copy(scalar[scalarBytes-len(private):], private)
	key, err := ecdh.P256().NewPrivateKey(scalar)
	if err != nil {
		return pair{}, errors.New("privateKey: not a key of the curve P-256")
	}
	if !bytes.Equal(key.PublicKey().Bytes(), public) {
		return pair{}, errors.New("publicKey does not belong to privateKey")
	}
	return pairOf(key), nil
}

// decodeBase64 reads either alphabet, with padding or without.
func decodeBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return base64.RawURLEncoding.DecodeString(text)
}
