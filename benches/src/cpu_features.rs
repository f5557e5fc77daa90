//! The processor features that the libraries in use detect at run time.

/// Returns the processor features that select other code paths, separated by commas. Where no
/// library checks for features, only the architecture is returned.
#[must_use]
pub fn detected() -> String {
    let mut names = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        let asked = [
            ("sse4.1", is_x86_feature_detected!("sse4.1")),
            ("popcnt", is_x86_feature_detected!("popcnt")),
            ("bmi2", is_x86_feature_detected!("bmi2")),
            ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("vpclmulqdq", is_x86_feature_detected!("vpclmulqdq")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
        ];
        names.extend(asked.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name));
    }
    names.join(",")
}
