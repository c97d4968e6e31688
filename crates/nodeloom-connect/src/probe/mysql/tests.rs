use super::*;

/// Computed with Python's hashlib from the published formulas.
#[test]
fn proofs_are_as_the_formulas_say() {
    let salt: Vec<u8> = (1..=20).collect();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(scrambled(NATIVE, b"secret", &salt).unwrap()),
        "b32bb3a583e1340c0a1108d58b1be49781ad8c2f"
    );
    assert_eq!(
        hex(scrambled(CACHING_SHA2, b"secret", &salt).unwrap()),
        "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9"
    );
    assert_eq!(scrambled(NATIVE, b"", &salt).unwrap(), b"");
    assert_eq!(scrambled(CLEAR, b"secret", &salt), None);
}

#[test]
fn a_cut_greeting_is_no_greeting() {
    let mut whole = vec![10];
    whole.extend_from_slice(b"5.5.5-10.11.6-MariaDB-0\0");
    whole.extend_from_slice(&[1, 0, 0, 0]);
    whole.extend_from_slice(b"abcdefgh\0");
    whole.extend_from_slice(&[0xff, 0xf7, 45, 2, 0, 0xff, 0x81, 21]);
    whole.extend_from_slice(&[0; 10]);
    whole.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
    let greeting = Greeting::read(&whole).unwrap();
    assert_eq!(greeting.product(), "MariaDB 10.11.6");
    assert_eq!(greeting.salt, b"abcdefghijklmnopqrst");
    assert_eq!(greeting.method, NATIVE);
    assert_eq!(greeting.capabilities, 0x81ff_f7ff);
    for length in 0..whole.len() - NATIVE.len() - 1 {
        assert!(Greeting::read(&whole[..length]).is_none(), "{length}");
    }
}
