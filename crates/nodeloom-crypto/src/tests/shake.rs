//! SHAKE128, the random source and the digest of the accumulated XAES test. FIPS 202.
//!
//! Written out because no dependency has it: the test that uses it checks it against the first
//! bytes that the XAES specification gives.

const RATE: usize = 168;

/// A sponge that takes input first and gives output after.
#[derive(Default)]
pub(super) struct Shake128 {
    state: [u64; 25],
    position: usize,
    squeezing: bool,
}

impl Shake128 {
    fn xor(&mut self, at: usize, byte: u8) {
        self.state[at / 8] ^= u64::from(byte) << (at % 8 * 8);
    }

    pub(super) fn absorb(&mut self, input: &[u8]) {
        assert!(!self.squeezing, "all input comes before any output");
        for &byte in input {
            self.xor(self.position, byte);
            self.position += 1;
            if self.position == RATE {
                permute(&mut self.state);
                self.position = 0;
            }
        }
    }

    pub(super) fn squeeze(&mut self, length: usize) -> Vec<u8> {
        if !self.squeezing {
            self.xor(self.position, 0x1f);
            self.xor(RATE - 1, 0x80);
            self.position = RATE;
            self.squeezing = true;
        }
        let mut output = Vec::with_capacity(length);
        while output.len() < length {
            if self.position == RATE {
                permute(&mut self.state);
                self.position = 0;
            }
            output.push(self.state[self.position / 8].to_le_bytes()[self.position % 8]);
            self.position += 1;
        }
        output
    }
}

/// Keccak-f[1600], FIPS 202 section 3. The lane of column x and row y is `state[x + 5 * y]`.
fn permute(state: &mut [u64; 25]) {
    let mut register = 1u8;
    for _ in 0..24 {
        // Theta.
        let columns: [u64; 5] =
            std::array::from_fn(|x| (0..5).fold(0, |c, y| c ^ state[x + 5 * y]));
        for (i, lane) in state.iter_mut().enumerate() {
            *lane ^= columns[(i + 4) % 5] ^ columns[(i + 1) % 5].rotate_left(1);
        }
        // Rho and pi: each lane along its path takes the place of the next.
        let (mut x, mut y, mut lane) = (1, 0, state[1]);
        for step in 0..24 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            let rotated = lane.rotate_left((step + 1) * (step + 2) / 2 % 64);
            lane = std::mem::replace(&mut state[x + 5 * y], rotated);
        }
        // Chi.
        for row in state.chunks_exact_mut(5) {
            let before: [u64; 5] = std::array::from_fn(|x| row[x]);
            for x in 0..5 {
                row[x] ^= !before[(x + 1) % 5] & before[(x + 2) % 5];
            }
        }
        // Iota: the round constant's bits come from a shift register.
        for bit in 0..7 {
            if register & 1 == 1 {
                state[0] ^= 1 << ((1u32 << bit) - 1);
            }
            register = (register << 1) ^ ((register >> 7) * 0x71);
        }
    }
}
