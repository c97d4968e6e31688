//! Whom outbound TLS trusts: the system's authorities, those that the operator adds, and, on a
//! machine without any, Mozilla's list as it was when nodeloom was built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How much of a server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Who signed it, and that it names the host.
    Full,
    /// Who signed it.
    Chain,
    /// Nothing: the connection is encrypted, and whoever answers may be anyone.
    Nothing,
}

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of further authorities.
    #[error("the certificates in {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the ways to check a certificate can be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The TLS settings of outbound connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    full: Arc<ClientConfig>,
    chain: Arc<ClientConfig>,
    nothing: Arc<ClientConfig>,
}

impl Trust {
    /// Reads the system's authorities and those in `extra`, a PEM file. Blocks on files; meant for
    /// the start of the process.
    ///
    /// # Errors
    /// If `extra` cannot be read or holds no certificate.
    pub fn load(extra: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // What cannot be read among the system's certificates is left out, as others do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(path) = extra {
            for certificate in read_file(path)? {
                roots.add(certificate).map_err(|error| TrustError::File {
                    path: path.to_owned(),
                    reason: error.to_string(),
                })?;
            }
        }
        Self::of(roots)
    }

    /// Trusts exactly `roots`.
    ///
    /// # Errors
    /// If `roots` is empty.
    pub fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(roots);
        let setup = |error: &dyn std::fmt::Display| TrustError::Setup(error.to_string());
        let config = |verifier: Arc<dyn ServerCertVerifier>| {
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| setup(&error))?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            Ok(Arc::new(config))
        };
        let full =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| setup(&error))?;
        Ok(Self {
            full: config(full)?,
            chain: config(Arc::new(Partial {
                provider: Arc::clone(&provider),
                roots: Some(roots),
            }))?,
            nothing: config(Arc::new(Partial {
                provider: Arc::clone(&provider),
                roots: None,
            }))?,
        })
    }

    pub(crate) fn config(&self, verify: Verify) -> Arc<ClientConfig> {
        Arc::clone(match verify {
            Verify::Full => &self.full,
            Verify::Chain => &self.chain,
            Verify::Nothing => &self.nothing,
        })
    }
}

/// The certificates of the system's authorities and of those in `extra`, a PEM file; none if the
/// system has none and nothing is added, which stands for Mozilla's list. Blocks on files.
///
/// # Errors
/// If `extra` cannot be read or holds no certificate.
pub fn authorities(extra: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = extra {
        certificates.extend(read_file(path)?);
    }
    Ok(certificates)
}

fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |reason: String| TrustError::File {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no certificate in PEM".into()));
    }
    Ok(certificates)
}

/// Checks less than all of a certificate, and always that the peer holds its key.
#[derive(Debug)]
struct Partial {
    provider: Arc<CryptoProvider>,
    /// Who may have signed it; anyone if absent.
    roots: Option<Arc<RootCertStore>>,
}

impl ServerCertVerifier for Partial {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
