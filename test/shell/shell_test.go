package shell

import "testing"

func TestShellFailsAtTheFirstFailure(t *testing.T) {
	Need(t)
	s := Open(t, t.TempDir())
	if printed, err := s.Run("echo one\nsleep 100 &"); err != nil || printed != "one\n" {
		t.Fatalf("%q, %v", printed, err)
	}
	if err := s.Write("a/b.txt", "it's $HOME\n"); err != nil {
		t.Fatal(err)
	}
	if printed, err := s.Run("cat a/b.txt"); err != nil || printed != "it's $HOME\n" {
		t.Fatalf("%q, %v", printed, err)
	}
	if _, err := s.Run("false\necho two"); err == nil {
		t.Error("a failure is passed over")
	}
}
