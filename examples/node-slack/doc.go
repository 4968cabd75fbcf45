// Package nodeslack holds the tests of the channel in this folder, which is
// written in JavaScript.
package nodeslack
