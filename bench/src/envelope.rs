//! Sealing and opening, against the sum of what they are made of.
//!
//! The yardstick is measured in the same run: 24 bytes from the operating system and one
//! AES-256-GCM operation of aws-lc-rs with key set-up, in place, without associated data and
//! without an allocation. What the envelope adds is the key derivation of XAES, the associated
//! data, the output's allocation, picking the key from a ring, and wiping.
//!
//! Blocks of each measurement take turns, so that a busy neighbour or a changed clock slows all
//! of them alike, and the median block of each is reported. Counts are fixed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nodeloom_crypto::{Binding, DataKey, KeyId, KeyMaterial, KeyRing, Secret};

/// One thing to measure: does its work a number of times.
struct Measured<'a> {
    name: &'static str,
    work: Box<dyn FnMut() -> anyhow::Result<()> + 'a>,
    blocks: Vec<Duration>,
}

impl<'a> Measured<'a> {
    fn new(name: &'static str, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self {
            name,
            work: Box::new(work),
            blocks: Vec::new(),
        }
    }

    /// Median block divided by the operations in it.
    fn median(&mut self, operations: u32) -> Duration {
        self.blocks.sort_unstable();
        self.blocks[self.blocks.len() / 2] / operations
    }
}

/// Runs the measurements in turn, `blocks` times `operations` of each, after one block to warm up.
fn measure<const N: usize>(
    blocks: usize,
    operations: u32,
    mut measured: [Measured<'_>; N],
) -> anyhow::Result<[Duration; N]> {
    for block in 0..=blocks {
        for one in &mut measured {
            let start = Instant::now();
            for _ in 0..operations {
                (one.work)()?;
            }
            if block > 0 {
                one.blocks.push(start.elapsed());
            }
        }
    }
    Ok(measured.each_mut().map(|one| {
        let median = one.median(operations);
        println!("  {:<58} {:>12.3?}", one.name, median);
        median
    }))
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

/// AES-256-GCM of aws-lc-rs with key set-up, in place.
fn raw_seal(key: &[u8; 32], nonce: [u8; 12], data: &mut [u8]) -> anyhow::Result<[u8; 16]> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, black_box(key))?);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), data)?;
    Ok(tag.as_ref().try_into()?)
}

/// Draws a nonce as an envelope has it, and gives the part that AES-256-GCM takes.
fn raw_nonce() -> anyhow::Result<[u8; 12]> {
    let mut nonce = [0; 24];
    getrandom::fill(black_box(&mut nonce))?;
    nonce.last_chunk().copied().context("a nonce has 24 bytes")
}

fn run_size(length: usize, blocks: usize, operations: u32) -> anyhow::Result<[f64; 2]> {
    let (team, id) = ([1; 16], KeyId::generate()?);
    let mut ring = KeyRing::new();
    ring.insert(DataKey::new(id, team, KeyMaterial::generate()?));
    // A ring as a busy instance has it, so that finding the key counts.
    for _ in 0..100 {
        ring.insert(DataKey::new(
            KeyId::generate()?,
            team,
            KeyMaterial::generate()?,
        ));
    }
    let place = Binding::of_record(team, "credential", [2; 16], "data", 7);
    let plaintext = vec![0x5a; length];
    let sealed = ring.seal(id, &place, &plaintext)?;
    ensure!(
        ring.open(&place, &sealed)?.ct_eq(&plaintext),
        "the value opens as it was sealed"
    );

    let raw_key = [7; 32];
    let mut buffer = plaintext.clone();
    let mut ciphertext = plaintext.clone();
    let tag = raw_seal(&raw_key, [9; 12], &mut ciphertext)?;
    let mut opened = vec![0; length];

    let seal = [
        Measured::new("24 bytes from the operating system", || {
            black_box(raw_nonce()?);
            Ok(())
        }),
        Measured::new("AES-256-GCM seal with key set-up", || {
            black_box(raw_seal(
                &raw_key,
                black_box([9; 12]),
                black_box(&mut buffer),
            )?);
            Ok(())
        }),
        Measured::new("seal an envelope, through the ring", || {
            black_box(ring.seal(id, black_box(&place), black_box(&plaintext))?);
            Ok(())
        }),
    ];
    let [random, raw, ours] = measure(blocks, operations, seal)?;
    let seal = ratio(ours, random + raw);

    let open = [
        Measured::new("AES-256-GCM open with key set-up", || {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, black_box(&raw_key))?);
            let nonce = Nonce::assume_unique_for_key(black_box([9; 12]));
            let out = black_box(opened.as_mut_slice());
            Ok(key.open_separate_gather(nonce, Aad::empty(), &ciphertext, &tag, out)?)
        }),
        Measured::new(
            "open an envelope, through the ring, and wipe the plaintext",
            || {
                let opened: Secret<Vec<u8>> = ring.open(black_box(&place), black_box(&sealed))?;
                black_box(opened.expose());
                Ok(())
            },
        ),
    ];
    let [raw, ours] = measure(blocks, operations, open)?;
    Ok([seal, ratio(ours, raw)])
}

/// Measures sealing and opening of 64 bytes and of 1 MiB, and prints times and ratios.
///
/// # Errors
/// Any failure of a cipher or of the operating system's generator.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("64 bytes, 201 blocks of 500, medians:");
    let [seal, open] = run_size(64, 201, 500)?;
    println!("  seal takes {seal:.2} of the sum of its parts (aim: at most 1.40)");
    println!("  open takes {open:.2} of AES-256-GCM alone (aim: at most 1.70)");
    println!("1 MiB, 101 blocks of 4, medians:");
    let [seal, open] = run_size(1 << 20, 101, 4)?;
    println!(
        "  seal has {:.2} of the throughput of its parts (aim: at least 0.80)",
        1.0 / seal
    );
    println!(
        "  open has {:.2} of the throughput of AES-256-GCM (aim: at least 0.80)",
        1.0 / open
    );
    Ok(())
}
