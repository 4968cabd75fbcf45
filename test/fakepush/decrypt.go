package fakepush

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	authBytes  = 16
	saltBytes  = 16
	pointBytes = 65 // uncompressed, P-256
	tagBytes   = 16
	// headBytes is the length of a push's header (RFC 8188, section 2.1): salt,
	// record size, length of the key, key.
	headBytes = saltBytes + 4 + 1 + pointBytes
	// lastRecord ends the padding of the last record, which a push's only one is.
	lastRecord = 2
)

// decrypt reads a push's body with the subscriber's private key and secret (RFC
// 8291, section 3, with one record of RFC 8188's aes128gcm).
func decrypt(body []byte, key *ecdh.PrivateKey, auth []byte) ([]byte, error) {
	if len(body) < headBytes+1+tagBytes {
		return nil, fmt.Errorf("aes128gcm: %d bytes are too short", len(body))
	}
	salt, rest := body[:saltBytes], body[saltBytes:]
	size, keyLength, rest := binary.BigEndian.Uint32(rest), rest[4], rest[5:]
	if keyLength != pointBytes {
		return nil, fmt.Errorf("aes128gcm: a key of %d bytes", keyLength)
	}
	point, record := rest[:pointBytes], rest[pointBytes:]
	if size < 18 || uint64(len(record)) > uint64(size) {
		return nil, fmt.Errorf("aes128gcm: %d bytes are not one record of %d", len(record), size)
	}
	sender, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: the sender's key: %w", err)
	}
	shared, err := key.ECDH(sender)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	info := bytes.Join([][]byte{[]byte("WebPush: info\x00"), key.PublicKey().Bytes(), point}, nil)
	input, err := hkdf.Key(sha256.New, shared, auth, string(info), 32)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	contentKey, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	block, err := aes.NewCipher(contentKey)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("aes128gcm: %w", err)
	}
	padded, err := aead.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, errors.New("aes128gcm: not encrypted for this subscription, or changed on the way")
	}
	plain := bytes.TrimRight(padded, "\x00")
	if len(plain) == 0 || plain[len(plain)-1] != lastRecord {
		return nil, errors.New("aes128gcm: the padding does not end a last record")
	}
	return plain[: len(plain)-1 : len(plain)-1], nil
}
