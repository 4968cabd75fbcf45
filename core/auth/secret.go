package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretFile  = "secret"
	secretBytes = 32
)

// loadSecret reads the data directory's secret, or makes it if there is none.
func loadSecret(dataDir string) ([]byte, error) {
	path := filepath.Join(dataDir, secretFile)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createSecret(dataDir, path)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: move it away and start again (clients then have to log in again)", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s is open to others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	case info.Size() != secretBytes:
		return nil, fmt.Errorf("%s has %d bytes instead of %d: restore it from a backup, or delete it (clients then have to log in again)",
			path, info.Size(), secretBytes)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(secret) != secretBytes {
		return nil, fmt.Errorf("%s changed while it was read", path)
	}
	return secret, nil
}

// createSecret writes a new secret so that after a crash there is either a whole
// one or none: sessions that were handed out must not lose their key.
func createSecret(dataDir, path string) ([]byte, error) {
	secret := make([]byte, secretBytes)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := writeSynced(unfinished, secret); err != nil {
		return nil, errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return nil, err
	}
	return secret, syncDir(dataDir)
}

// writeSynced creates the file, which must not exist, for its owner alone, and
// returns once it is on disk.
func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
