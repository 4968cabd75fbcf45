package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func TestReadingStdinEndsWithTheContext(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, in io.Reader) error{
		"send": func(ctx context.Context, in io.Reader) error {
			_, err := new(sending).message(ctx, in, []string{"phone", "-"})
			return err
		},
		"plugin test": func(ctx context.Context, in io.Reader) error {
			_, err := (&pluginTest{config: "-", timeout: 1}).target(ctx, in, []string{"true"})
			return err
		},
		"forget": func(ctx context.Context, in io.Reader) error {
			_, err := confirmed(ctx, in)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			in, open := io.Pipe()
			defer open.Close()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- read(ctx, in) }()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("%s: it has ended too early: %v", name, err)
			default:
			}
			cancel()
			synctest.Wait()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				t.Errorf("%s: it reads on", name)
			}
		})
	}
}

func TestOnlyYesConfirms(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " Y \n": true, "y": true, "n\n": false, "\n": false, "": false, "yes\n": false} {
		if yes, err := confirmed(t.Context(), strings.NewReader(answer)); yes != want || err != nil {
			t.Errorf("%q: %v, %v", answer, yes, err)
		}
	}
}

func TestStdinIsTextOrDesp(t *testing.T) {
	m, err := new(sending).message(t.Context(), strings.NewReader("a\nb\n"), []string{"phone", "title", "-"})
	if err != nil || m.Text != "title" || m.Desp != "a\nb" {
		t.Errorf("%+v, %v", m, err)
	}
}
