# The libraries of subword tokenizers, each left out where it is absent. Sets WAVEFIELD_HAS_SENTENCEPIECE
# and WAVEFIELD_HAS_BPE for src/data.

# SentencePiece has a C++ face only: one file of ours is C++, and only where the library is there.
set(WAVEFIELD_HAS_SENTENCEPIECE OFF)
set(sentencepiece_state "off (WAVEFIELD_SENTENCEPIECE)")
if(WAVEFIELD_SENTENCEPIECE)
  include(CheckLanguage)
  check_language(CXX)
  pkg_check_modules(SENTENCEPIECE IMPORTED_TARGET sentencepiece)
  if(SENTENCEPIECE_FOUND AND CMAKE_CXX_COMPILER)
    enable_language(CXX)
    set(WAVEFIELD_HAS_SENTENCEPIECE ON)
    set(sentencepiece_state "SentencePiece ${SENTENCEPIECE_VERSION}")
    target_link_libraries(wavefield_dependencies INTERFACE PkgConfig::SENTENCEPIECE)
  elseif(SENTENCEPIECE_FOUND)
    set(sentencepiece_state "no SentencePiece: a C++ compiler is needed")
  else()
    set(sentencepiece_state "no SentencePiece (libsentencepiece-dev)")
  endif()
endif()

wavefield_report(tokenizers "byte, char, ${sentencepiece_state}")
